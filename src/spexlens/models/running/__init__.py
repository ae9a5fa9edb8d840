"""Many prompts through one model: batches, shared beginnings, several devices."""
