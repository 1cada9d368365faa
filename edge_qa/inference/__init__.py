"""Windows -> logits -> spans: the engine, batches of many questions, the compile cache, the cold start."""
