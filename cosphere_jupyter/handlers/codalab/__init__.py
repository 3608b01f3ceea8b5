"""The CodaLab face: ``/rest/…``, JSON:API with lists as bodies, and errors as its command line shows them."""
