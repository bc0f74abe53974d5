package doctor

import (
	"context"
	"errors"
	"io/fs"
	"time"
)

// checkIdentity tells who this host is (agent.md 3).
func (x *examination) checkIdentity(_ context.Context, s setup, r *Result) {
	id, err := x.identity()
	if unread := tryToRead(s.OnPremisesConfigFile); err != nil && errors.Is(unread, fs.ErrPermission) {
		r.cannot("read who this host is, in "+s.OnPremisesConfigFile, unread)
		return
	} else if err != nil {
		r.fail(err.Error(), "without it the agent does not start; on premises, the file comes from the host's registration")
		return
	}
	from := "instance metadata of EC2, or the environment"
	if id.OnPremises {
		from = s.OnPremisesConfigFile
	}
	r.saw("%s in %s, from %s", id.HostID, id.Region, from)
	for _, w := range id.warnings {
		r.warn(w, "see that this is what you want")
	}
}

// soon is how long before their end keys from EC2 should have been replaced by newer ones.
const soon = 5 * time.Minute

// checkCredentials tells where the keys come from. Of the keys themselves it tells the end of the public one.
func checkCredentials(ctx context.Context, id host, r *Result) {
	keys, err := id.Credentials.Retrieve(ctx)
	if errors.Is(err, fs.ErrPermission) {
		r.cannot("read the keys", err)
		return
	} else if err != nil {
		r.fail(err.Error(), "without keys every call is refused")
		return
	}
	r.saw("access key %s from %s", shortKey(keys.AccessKeyID), keys.Source)
	if id.OnPremises || !keys.CanExpire {
		return // a file does not tell when its keys end
	}
	left := time.Until(keys.Expires).Round(time.Minute)
	r.saw("valid until %s (%v)", keys.Expires.Format(time.RFC3339), left)
	if left < soon {
		r.warn("they end very soon", "newer ones should be there already: look at this host's clock and at the instance's role")
	}
}

// shortKey is enough of a public key to tell it from others.
func shortKey(id string) string { return "…" + id[max(0, len(id)-4):] }
