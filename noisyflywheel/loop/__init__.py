"""Figure 2: the warm-up, the two interlocked EM cycles, and what watches over them."""
