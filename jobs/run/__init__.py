"""The main job: two versions of a model trained, registered, served, and traffic moved from one to the other."""
