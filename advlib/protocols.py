def check_protocol(x): pass
def check_gradient(x): pass
PROTOCOLS=("static","white-box")
