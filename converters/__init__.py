"""Turn question-answering checkpoints and existing models into Edge QA bundles, without torch."""
