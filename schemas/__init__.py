"""The Avro schemas, and the code that generates them. Both are installed with the package."""
