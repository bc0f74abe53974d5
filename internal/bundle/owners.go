package bundle

import "grapnel/internal/account"

// owners finds out whom unpacked files belong to. As tar does, a name counts more than a number: the account that the
// application runs as has another number on each host.
type owners struct {
	restore  bool
	accounts account.Cache
}

// resolve replaces the numbers of an entry by those of this host, or by -1 if owners are not to be restored.
func (o *owners) resolve(e *entry) {
	if !o.restore || e.uid < 0 || e.gid < 0 {
		e.uid, e.gid = -1, -1
		return
	}
	if id, err := o.accounts.UserID(e.owner); err == nil {
		e.uid = int(id)
	}
	if id, err := o.accounts.GroupID(e.group); err == nil {
		e.gid = int(id)
	}
}
