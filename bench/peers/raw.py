"""A plain aiokafka loop, which shows the minimum cost of the work: fetch, decode, update a dict, send batches, commit.

Delivers at least once. Has no order across topics and no deadlines.
"""

import asyncio
import os
from collections import defaultdict

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition

from bench.peers.common import decode, encode, notification
from bench.work import names

KAFKA = {"bootstrap_servers": os.environ["KAFKA_BOOTSTRAP"]}
given = names()
pack, unpack = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode
state = defaultdict(dict)  # partition -> key -> packed [n, open, last, due]


class Restore(ConsumerRebalanceListener):
    async def on_partitions_revoked(self, revoked):
        state.clear()

    async def on_partitions_assigned(self, assigned):
        partitions = [TopicPartition(given.state, number) for number in {tp.partition for tp in assigned}]
        reader = AIOKafkaConsumer(**KAFKA, enable_auto_commit=False, auto_offset_reset="earliest", max_partition_fetch_bytes=8 << 20)
        await reader.start()
        reader.assign(partitions)
        ends = await reader.end_offsets(partitions)
        await reader.seek_to_beginning(*partitions)
        while [tp for tp in partitions if await reader.position(tp) < ends[tp]]:
            for tp, records in (await reader.getmany(timeout_ms=200)).items():
                for record in records:
                    state[tp.partition][record.key] = record.value
        await reader.stop()


def batches(producer, rows):
    batch = producer.create_batch()
    for key, value in rows:
        if batch.append(key=key, value=value, timestamp=None) is None:
            yield batch
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    yield batch


async def main():
    producer = AIOKafkaProducer(**KAFKA, acks="all", max_batch_size=1 << 19)
    consumer = AIOKafkaConsumer(
        **KAFKA, group_id=given.group, enable_auto_commit=False, auto_offset_reset="earliest", max_partition_fetch_bytes=4 << 20
    )
    await producer.start()
    await consumer.start()
    consumer.subscribe([given.admissions, given.discharges], listener=Restore())
    while True:
        outs, dirty = defaultdict(list), defaultdict(dict)
        for tp, records in (await consumer.getmany(timeout_ms=1000, max_records=4000)).items():
            number = tp.partition
            for record in records:
                event, key = decode(record.value), record.key
                packed = dirty[number].get(key) or state[number].get(key)
                due = event["producer_t"] + 86_400
                dirty[number][key] = pack(((unpack(packed)[0] if packed else 0) + 1, event["kind"] == "admit", event["event_id"], due))
                outs[number].append((key, encode(notification(event, due))))
        sent = []
        for number, rows in outs.items():
            for topic, pairs in ((given.out, rows), (given.state, dirty[number].items())):
                for batch in batches(producer, pairs):
                    sent.append(await producer.send_batch(batch, topic, partition=number))
            state[number].update(dirty[number])
        if sent:
            await asyncio.gather(*sent)
            await consumer.commit()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main())
