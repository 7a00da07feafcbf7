"""The Avro contract: files that travel with the package, and what writes them."""
