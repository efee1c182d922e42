"""`generator report`: one HTML page on a dataset.

report           the command
overview         what is read and counted of the dataset
page             the page, with page.css and page.js; contact_sheets and plots are parts of it
"""
