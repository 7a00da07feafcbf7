"""The client of a schema registry, against a registry that records the requests."""

import asyncio
import json

import pytest
from aiohttp import web

from streams.avro.codec import Codec
from streams.avro.registry import ABSENT_SECONDS, LOOKUPS_MAX, Registry, RegistryError
from streams.avro.schemas import RECORD_OF, contract_of
from streams.contract import events as e
from streams.contract.reasons import Refusal

GOAL = e.GoalUpdated(goal="G1", lifecycle_status="active", description="walk to the market")


class RegistryDouble:
    """The Confluent API over a dict. `asked` contains every requested path."""

    def __init__(self):
        self.schemas, self.asked, self.status, self.gate = {}, [], 200, None
        self.types = {}

    async def start(self):
        app = web.Application()
        app.router.add_post("/ccompat/subjects/{subject}/versions", self.register)
        app.router.add_get("/ccompat/schemas/ids/{id}", self.get)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        host, port = self.runner.addresses[0]
        self.url = f"http://{host}:{port}/ccompat/"

    async def register(self, request):
        self.asked.append(request.path)
        if self.status != 200:
            return web.json_response({"error_code": 50001}, status=self.status)
        schema = (await request.json())["schema"]
        found = next((i for i, known in self.schemas.items() if known == schema), None)
        if found is None:
            found = 100 + len(self.schemas)
            self.schemas[found] = schema
        return web.json_response({"id": found})

    async def get(self, request):
        self.asked.append(request.path)
        if self.gate:
            await self.gate.wait()
        if self.status != 200:
            return web.Response(text="<html>", status=self.status)
        found = self.schemas.get(int(request.match_info["id"]))
        if found is None:
            return web.json_response({"error_code": 40403}, status=404)
        return web.json_response({"schema": found} | self.types)


@pytest.fixture
async def double():
    registry = RegistryDouble()
    await registry.start()
    yield registry
    await registry.runner.cleanup()


def older(name, *, without):
    """Return the schema of an older revision: the current one without a field."""
    schema = json.loads(json.dumps(contract_of(name).schema))
    schema["fields"] = [field for field in schema["fields"] if field["name"] != without]
    return schema


async def test_after_prepare_values_carry_the_registry_frame_and_every_reader_takes_both(double, tmp_path):
    codec, plain = Codec(), Codec()
    async with Registry(double.url, codec, tmp_path) as registry:
        await registry.prepare()

    value = codec.frame(GOAL)

    assert value[0] == 0
    assert json.loads(double.schemas[int.from_bytes(value[1:5], "big")])["name"] == "GoalUpdated"
    assert value[5:] == plain.frame(GOAL)[10:]
    assert codec.read_frame(value) == codec.read_frame(plain.frame(GOAL)) == GOAL
    assert plain.read_frame(value) == Refusal("unknown-schema")


async def test_subjects_are_named_after_the_record(double, tmp_path):
    async with Registry(double.url, Codec(), tmp_path) as registry:
        await registry.prepare()

    assert sorted(double.asked) == sorted(f"/ccompat/subjects/care.events.{name}/versions" for name in RECORD_OF)


async def test_an_unknown_schema_id_is_requested_before_the_record_is_read(double, tmp_path):
    codec = Codec()
    double.schemas[7] = json.dumps(contract_of("GoalUpdated").schema)
    value = b"\0" + (7).to_bytes(4, "big") + codec.encode(GOAL)
    assert codec.read_frame(value) == Refusal("unknown-schema")
    assert codec.unknown_ids([value, None, b"", b"\0", codec.frame(GOAL)]) == {7}

    async with Registry(double.url, codec, tmp_path) as registry:
        assert await registry.learn({7}) == set()

    assert codec.read_frame(value) == GOAL
    assert codec.unknown_ids([value]) == set()


async def test_schemas_are_cached_on_disk_and_used_without_the_registry(double, tmp_path):
    double.schemas[7] = json.dumps(contract_of("GoalUpdated").schema)
    first, second = Codec(), Codec()
    async with Registry(double.url, first, tmp_path) as registry:
        await registry.prepare()
        await registry.learn({7})
    url = double.url
    await double.runner.cleanup()

    async with Registry(url, second, tmp_path) as registry:
        await registry.prepare()

    assert second.frame(GOAL) == first.frame(GOAL)
    assert second.read_frame(b"\0\0\0\0\7" + first.encode(GOAL)) == GOAL


async def test_prepare_without_registry_and_without_cache_says_so(double, tmp_path):
    url = double.url
    await double.runner.cleanup()
    async with Registry(url, Codec(), tmp_path) as registry:
        with pytest.raises(RegistryError, match="does not answer"):
            await registry.prepare()


async def test_ids_of_another_registry_are_not_used(double, tmp_path):
    async with Registry(double.url, Codec(), tmp_path) as registry:
        await registry.prepare()
    async with Registry("http://127.0.0.1:1/", Codec(), tmp_path) as registry:
        with pytest.raises(RegistryError):
            await registry.prepare()


async def test_a_registry_that_refuses_a_schema_stops_the_start(double, tmp_path):
    double.status = 409
    async with Registry(double.url, Codec(), tmp_path) as registry:
        with pytest.raises(RegistryError, match="409"):
            await registry.prepare()


async def test_an_id_is_requested_once_for_all_waiting_callers(double, tmp_path):
    double.gate = asyncio.Event()
    double.schemas[7] = json.dumps(contract_of("GoalUpdated").schema)
    async with Registry(double.url, Codec(), tmp_path) as registry:
        asking = [asyncio.create_task(registry.learn({7})) for _ in range(5)]
        await asyncio.sleep(0.05)
        asking[0].cancel()  # A caller that is cancelled does not take the answer away from the others.
        double.gate.set()
        answers = await asyncio.gather(*asking[1:])

    assert answers == [set()] * 4
    assert len(double.asked) == 1


async def test_an_id_that_the_registry_does_not_have_is_not_requested_again_for_a_while(double, tmp_path):
    now = 0.0
    async with Registry(double.url, Codec(), tmp_path, clock=lambda: now) as registry:
        assert await registry.learn({8}) == set()
        assert await registry.learn({8}) == set()
        assert len(double.asked) == 1
        now = ABSENT_SECONDS
        await registry.learn({8})
        assert len(double.asked) == 2


async def test_an_id_without_an_answer_of_the_registry_is_requested_again(double, tmp_path):
    double.status = 503
    async with Registry(double.url, Codec(), tmp_path) as registry:
        assert await registry.learn({8}) == {8}
        double.status = 200
        assert await registry.learn({8}) == set()


async def test_a_registry_that_hangs_does_not_hold_a_shard_for_longer_than_the_limit(double, tmp_path):
    double.gate = asyncio.Event()
    async with Registry(double.url, Codec(), tmp_path, timeout_seconds=0.05) as registry:
        assert await asyncio.wait_for(registry.learn({8}), 5) == {8}
    double.gate.set()


async def test_one_call_requests_a_bounded_number_of_ids(double, tmp_path):
    async with Registry(double.url, Codec(), tmp_path) as registry:
        await registry.learn(range(1000))

    assert len(double.asked) == LOOKUPS_MAX


@pytest.mark.parametrize(
    "schema",
    [
        '"string"',
        "not json",
        "{}",
        '{"type":"record","name":"care.events.GoalUpdated","fields":[]}',
        '{"type":"record","name":"GoalUpdated","namespace":"another","fields":[{"name":"goal","type":"string"}]}',
        '{"type":"record","name":"care.events.Nobody","fields":[{"name":"goal","type":"string"}]}',
        '{"type":"record","name":"care.events.GoalUpdated","fields":[{"name":"goal","type":"nothing"}]}',
        "[" * 5000,
    ],
)
async def test_a_schema_of_an_unknown_record_is_refused_and_not_requested_again(double, tmp_path, schema):
    codec = Codec()
    double.schemas[9] = schema
    async with Registry(double.url, codec, tmp_path) as registry:
        assert await registry.learn({9}) == set()

    assert isinstance(codec.read_frame(b"\0\0\0\0\x09" + codec.encode(GOAL)), Refusal)


async def test_a_schema_of_another_kind_is_refused_and_not_requested_again(double, tmp_path):
    codec = Codec()
    double.schemas[9], double.types = json.dumps(contract_of("GoalUpdated").schema), {"schemaType": "PROTOBUF"}
    async with Registry(double.url, codec, tmp_path) as registry:
        assert await registry.learn({9}) == set()

    assert codec.read_frame(b"\0\0\0\0\x09" + codec.encode(GOAL)) == Refusal("unknown-schema")


async def test_a_broken_file_in_the_cache_is_passed_over(double, tmp_path):
    codec = Codec()
    async with Registry(double.url, codec, tmp_path) as registry:
        await registry.prepare()
        (folder,) = tmp_path.iterdir()
        (folder / "5.json").write_text("{")
        (folder / "ids.json").write_text("[")
        await registry.prepare()

    assert codec.read_frame(codec.frame(GOAL)) == GOAL
