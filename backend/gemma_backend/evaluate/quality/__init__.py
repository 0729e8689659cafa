"""Does a served model still speak: perplexity, agreement and exact answers, alone or against another endpoint."""
