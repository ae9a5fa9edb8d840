"""The case that `spexlens demo` explains: a review written for it, in which words act together."""

TEXT = (
    "I expected very little from this sequel, but it never fails to charm: the jokes are not at "
    "all stale, the cast is clearly having fun, and even the predictable ending left me smiling "
    "rather than bored."
)
TEMPLATE = "Review: {text}\nSentiment:"
ANSWERS = ("positive", "negative")
