"""`generator report`: one HTML page on a dataset; and the look of every page of the project.

report           the command
overview         what is read and counted of the dataset
dataset_page     what the page shows of it; contact_sheets and plots are parts of it
pages            where every page is rendered: templates/*.j2, with base.html.j2 for all; the trainers' pages too
glossary         the words of the pages with their meanings
"""
