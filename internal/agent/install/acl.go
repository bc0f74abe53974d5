package install

import (
	"cmp"
	"encoding/binary"
	"io/fs"
	"slices"
	"strconv"

	"grapnel/internal/appspec"
)

// aclEntry is an entry of a POSIX access control list as the kernel keeps it (acl(5), linux/posix_acl_xattr.h).
type aclEntry struct {
	tag, perms uint16
	id         uint32 // of a named user or group, else noID
}

// Tags, in the order in which the kernel wants entries.
const (
	tagOwner uint16 = 1 << iota
	tagUser
	tagGroup
	tagNamedGroup
	tagMask
	tagOther
)

const noID = 1<<32 - 1

// acl is an AppSpec's list with the names looked up: of the object itself, and of what will be made in it.
type acl struct{ object, children []aclEntry }

func (p *Plan) resolveACL(entries []appspec.ACL) (*acl, error) {
	list := &acl{}
	for _, entry := range entries {
		e := aclEntry{perms: uint16(entry.Perms), id: noID}
		var err error
		switch {
		case entry.Tag == "mask":
			e.tag = tagMask
		case entry.Tag == "other":
			e.tag = tagOther
		case entry.Tag == "group" && entry.Name == "":
			e.tag = tagGroup
		case entry.Tag == "group":
			e.tag = tagNamedGroup
			e.id, err = numberOr(entry.Name, p.accounts.GroupID)
		case entry.Name == "":
			e.tag = tagOwner
		default:
			e.tag = tagUser
			e.id, err = numberOr(entry.Name, p.accounts.UserID)
		}
		if err != nil {
			return nil, err
		}
		if entry.Default {
			list.children = replaceEntry(list.children, e)
		} else {
			list.object = replaceEntry(list.object, e)
		}
	}
	return list, nil
}

// numberOr takes a number for itself when there is no such name, as setfacl does.
func numberOr(name string, lookUp func(string) (uint32, error)) (uint32, error) {
	id, err := lookUp(name)
	if n, numeric := strconv.ParseUint(name, 10, 32); err != nil && numeric == nil {
		return uint32(n), nil
	}
	return id, err
}

// replaceEntry adds an entry; of two for the same one the later counts, as with setfacl.
func replaceEntry(list []aclEntry, e aclEntry) []aclEntry {
	if i := slices.IndexFunc(list, func(o aclEntry) bool { return o.tag == e.tag && o.id == e.id }); i >= 0 {
		list[i] = e
		return list
	}
	return append(list, e)
}

// completed adds what agent.md 8.2 adds from the object's mode: the three base entries, and a mask where somebody is named
// and none is given. It starts afresh for each object. A list for children is completed only when there is one.
func (l *acl) completed(mode fs.FileMode) *acl {
	full := &acl{object: completed(l.object, mode)}
	if len(l.children) > 0 {
		full.children = completed(l.children, mode)
	}
	return full
}

func completed(given []aclEntry, mode fs.FileMode) []aclEntry {
	list := slices.Clone(given)
	perms := uint16(mode.Perm())
	for _, base := range []aclEntry{{tagOwner, perms >> 6 & 7, noID}, {tagGroup, perms >> 3 & 7, noID}, {tagOther, perms & 7, noID}} {
		if entryOf(list, base.tag) == nil {
			list = append(list, base)
		}
	}
	named := entryOf(list, tagUser) != nil || entryOf(list, tagNamedGroup) != nil
	if named && entryOf(list, tagMask) == nil {
		list = append(list, aclEntry{tagMask, entryOf(list, tagGroup).perms, noID})
	}
	slices.SortFunc(list, func(a, b aclEntry) int { return cmp.Or(cmp.Compare(a.tag, b.tag), cmp.Compare(a.id, b.id)) })
	return list
}

func entryOf(list []aclEntry, tag uint16) *aclEntry {
	i := slices.IndexFunc(list, func(e aclEntry) bool { return e.tag == tag })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// encode returns a list as the value of an extended attribute: the version, and eight bytes for each entry.
func encode(list []aclEntry) []byte {
	const version = 2
	data := binary.LittleEndian.AppendUint32(nil, version)
	for _, e := range list {
		data = binary.LittleEndian.AppendUint16(data, e.tag)
		data = binary.LittleEndian.AppendUint16(data, e.perms)
		data = binary.LittleEndian.AppendUint32(data, e.id)
	}
	return data
}
