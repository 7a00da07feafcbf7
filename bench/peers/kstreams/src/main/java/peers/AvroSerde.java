package peers;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serializer;

/** Avro binary without a frame. Buffers, encoders and decoders are reused per thread, which is the fastest way to use Avro. */
final class AvroSerde implements Serde<GenericRecord> {
  private final Schema schema;

  AvroSerde(Schema schema) {
    this.schema = schema;
  }

  @Override
  public Serializer<GenericRecord> serializer() {
    final GenericDatumWriter<GenericRecord> writer = new GenericDatumWriter<>(schema);
    final ThreadLocal<ByteArrayOutputStream> buffers = ThreadLocal.withInitial(() -> new ByteArrayOutputStream(256));
    final ThreadLocal<BinaryEncoder> encoders = new ThreadLocal<>();
    return (topic, record) -> {
      if (record == null) {
        return null;
      }
      ByteArrayOutputStream buffer = buffers.get();
      buffer.reset();
      try {
        BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(buffer, encoders.get());
        encoders.set(encoder);
        writer.write(record, encoder);
        encoder.flush();
      } catch (IOException e) {
        throw new SerializationException(e);
      }
      return buffer.toByteArray();
    };
  }

  @Override
  public Deserializer<GenericRecord> deserializer() {
    final GenericDatumReader<GenericRecord> reader = new GenericDatumReader<>(schema);
    final ThreadLocal<BinaryDecoder> decoders = new ThreadLocal<>();
    return (topic, bytes) -> {
      if (bytes == null) {
        return null;
      }
      try {
        BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(bytes, decoders.get());
        decoders.set(decoder);
        return reader.read(null, decoder);
      } catch (IOException e) {
        throw new SerializationException(e);
      }
    };
  }
}
