"""The public contract: events, effects, topics, codes and their JSON form. All packages may import it; it imports none of them."""
