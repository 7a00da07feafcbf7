"""The public contract: events, effects, topics, codes and their forms. Everything may import it; it imports nothing of ours."""
