"""`generator report`, which writes one HTML page about a dataset; and templates and terms of all pages of the project.

report           the command
overview         reads and counts the dataset
dataset_page     fills the page's template; contact_sheets and plots make parts of it
pages            renders every page from templates/*.j2, with base.html.j2 for all; also for the trainers
glossary         the terms of the pages with their meanings
"""
