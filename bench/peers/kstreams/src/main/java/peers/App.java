package peers;

import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.FixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** The mechanics in Kafka Streams: an in-memory store with a changelog, exactly-once v2, the default commit interval. */
public final class App {
  /** The benchmark passes the schemas, so that all peers use the same ones. */
  static final Map<String, String> ENV = System.getenv();
  static final Schema EVENT = new Schema.Parser().parse(ENV.get("BENCH_EVENT_SCHEMA"));
  static final Schema NOTICE = new Schema.Parser().parse(ENV.get("BENCH_NOTICE_SCHEMA"));
  static final Schema PERSON = new Schema.Parser().parse(
      "{\"type\":\"record\",\"name\":\"Person\",\"fields\":[{\"name\":\"n\",\"type\":\"long\"},{\"name\":\"open\",\"type\":\"boolean\"},"
          + "{\"name\":\"last\",\"type\":\"string\"},{\"name\":\"due\",\"type\":\"double\"}]}");

  static final class Notify implements FixedKeyProcessor<String, GenericRecord, GenericRecord> {
    private FixedKeyProcessorContext<String, GenericRecord> context;
    private KeyValueStore<String, GenericRecord> store;

    @Override
    public void init(FixedKeyProcessorContext<String, GenericRecord> given) {
      context = given;
      store = given.getStateStore("state");
    }

    @Override
    public void process(FixedKeyRecord<String, GenericRecord> record) {
      GenericRecord event = record.value();
      GenericRecord person = store.get(record.key());
      if (person == null) {
        person = new GenericData.Record(PERSON);
        person.put("n", 0L);
      }
      double published = (double) event.get("producer_t");
      double due = published + 86400;
      person.put("n", (long) person.get("n") + 1);
      person.put("open", "admit".equals(event.get("kind").toString()));
      person.put("last", event.get("event_id"));
      person.put("due", due);
      store.put(record.key(), person);

      GenericRecord notice = new GenericData.Record(NOTICE);
      notice.put("id", event.get("event_id") + "n");
      notice.put("person", event.get("person"));
      notice.put("recipient", "pcp");
      notice.put("rule", "NOT-1");
      notice.put("due", (long) due);
      notice.put("cause", event.get("event_id"));
      notice.put("producer_t", published);
      context.forward(record.withValue(notice));
    }
  }

  public static void main(String[] args) {
    StreamsBuilder builder = new StreamsBuilder();
    builder.addStateStore(
        Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore("state"), Serdes.String(), new AvroSerde(PERSON)));
    builder
        .stream(List.of(ENV.get("BENCH_ADMISSIONS"), ENV.get("BENCH_DISCHARGES")), Consumed.with(Serdes.String(), new AvroSerde(EVENT)))
        .processValues(Notify::new, "state")
        .to(ENV.get("BENCH_OUT"), Produced.with(Serdes.String(), new AvroSerde(NOTICE)));

    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, ENV.get("BENCH_GROUP"));
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, ENV.get("KAFKA_BOOTSTRAP"));
    settings.put(StreamsConfig.STATE_DIR_CONFIG, ENV.get("BENCH_FOLDER"));
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    KafkaStreams streams = new KafkaStreams(builder.build(), settings);
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
  }
}
