"""Everything that imports gradio, except app.py and demos/. Imports the engine; never demos or lessons."""
