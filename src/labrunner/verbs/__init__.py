"""One small file a verb; each has `main(arguments) -> exit code`."""
