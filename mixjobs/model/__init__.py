"""What a sampler calls: arrays in, arrays out."""
