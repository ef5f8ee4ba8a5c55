"""From sample numbers to batches: datasets, samplers, loaders and prefetching for torch."""
