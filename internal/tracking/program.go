package tracking

import "slices"

// Program reports whether the visitor calls itself a scanner, a crawler or a
// program. Not doing so proves nothing.
func (v Visitor) Program() bool { return slices.Contains(v.signs(), ByScanner) }
