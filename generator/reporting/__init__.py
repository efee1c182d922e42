"""`generator report`, which writes one HTML page about a dataset, and the templates and terms that all pages share.

report           the command
overview         reads the dataset and counts its pictures and pins
dataset_page     makes the page of a dataset, with parts from contact_sheets and plots
pages            renders any page, also those of the trainers, from templates that extend templates/base.html.j2
glossary         the terms of the pages with their meanings
"""
