"""How these pages become a site: `./manage.sh docs` builds it, and a link that leads nowhere fails it."""

project = "Buildyard"
html_title = "Buildyard"
html_theme = "furo"
extensions = ["myst_parser"]
root_doc = "index"
exclude_patterns = ["**/README.md"]
myst_heading_anchors = 6  # a link may name a heading, and is checked, too
html_copy_source = False
html_show_sourcelink = False
