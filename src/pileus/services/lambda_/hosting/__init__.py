"""What functions run on: a folder for each language, which says what to run, how it is found and how it is warmed.

frame.py       what is said of a language, and of what a runtime's functions run on here
catalog.py     the languages there are; which interpreter a runtime gets on this machine
programs.py    templates of programs that are not Python's
python/ nodejs/ java/ ruby/ dotnet/ provided/
"""
