"""A Faust agent as in Faust's documentation: `async for`, a table, `await topic.send`. Delivers at least once."""

import os

import faust

from bench.peers.common import decode, encode, notification
from bench.work import PARTITIONS, names

given = names()
app = faust.App(
    given.group,
    broker="kafka://" + os.environ["KAFKA_BOOTSTRAP"],
    store="memory://",
    datadir=given.folder,
    version=1,
    web_enabled=False,
    topic_partitions=PARTITIONS,
    topic_replication_factor=1,
)
raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
events = app.topic(given.admissions, given.discharges, **raw)
out = app.topic(given.out, **raw)
state = app.Table("state", partitions=PARTITIONS)


@app.agent(events)
async def notify(stream):
    async for key, value in stream.items():
        event = decode(value)
        person = state.get(event["person"]) or {"n": 0}
        due = event["producer_t"] + 86_400
        state[event["person"]] = {"n": person["n"] + 1, "open": event["kind"] == "admit", "last": event["event_id"], "due": due}
        await out.send(key=key, value=encode(notification(event, due)))


if __name__ == "__main__":
    app.main()
