package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"grapnel/internal/awsapi"
)

const (
	// pageSize is how many entries a list operation returns at once (service.md 1).
	pageSize = 100
	// tokenLife is how long a page token is good for: a list that is picked up again after days is not the same list.
	tokenLife = 24 * time.Hour
)

// pages makes and checks page tokens. A token is the key of the last entry shown, and until when it may be shown again,
// under a signature that binds it to the operation and its filters: with other filters that key would stand at another
// place, and entries would be skipped in silence.
//
//	signature (32 bytes)  end of its life (8 bytes, seconds since 1970)  key
type pages struct{ key []byte }

// page is the part of a list that one call asks for.
type page struct {
	after string // key of the last entry shown before, "" for the first page
	token func(last string) *string
}

// open checks the token of a call. request is the call's input without its token: its type names the operation, its
// members are the filters.
func (p pages) open(request any, token *string) (page, error) {
	binding, err := json.Marshal(request)
	if err != nil {
		return page{}, fmt.Errorf("bind a page token: %w", err)
	}
	binding = fmt.Appendf(nil, "%T %s", request, binding)
	opened := page{token: func(last string) *string {
		signed := binary.BigEndian.AppendUint64(nil, uint64(time.Now().Add(tokenLife).Unix()))
		signed = append(signed, last...)
		return new(base64.RawURLEncoding.EncodeToString(append(p.sign(binding, signed), signed...)))
	}}
	if token == nil {
		return opened, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(*token)
	if err != nil || len(raw) < keyOffset || !hmac.Equal(raw[:sha256.Size], p.sign(binding, raw[sha256.Size:])) {
		return page{}, failure(awsapi.InvalidNextTokenException,
			"The token is not one that this operation gave out for the same filters; list again from the first page.")
	}
	if until := binary.BigEndian.Uint64(raw[sha256.Size:keyOffset]); time.Now().Unix() >= int64(until) {
		return page{}, failure(awsapi.InvalidNextTokenException, "The token has expired after %s; list again from the first page.", tokenLife)
	}
	opened.after = string(raw[keyOffset:])
	return opened, nil
}

// keyOffset is where the key begins in a token.
const keyOffset = sha256.Size + 8

func (p pages) sign(binding, signed []byte) []byte {
	mac := hmac.New(sha256.New, p.key)
	fmt.Fprintf(mac, "%d:", len(binding))
	mac.Write(binding)
	mac.Write(signed)
	return mac.Sum(nil)
}

// limit is how many entries to ask the store for: one more than a page, which tells whether there is another.
func (page) limit() int { return pageSize + 1 }

// cut returns the entries of the page, of entries that follow it, and the token of the next page, nil on the last one.
// The list is never nil: clients count on its member.
func cut[T any](p page, entries []T, key func(T) string) ([]T, *string) {
	if len(entries) <= pageSize {
		return append([]T{}, entries...), nil
	}
	return entries[:pageSize], p.token(key(entries[pageSize-1]))
}

// following returns what comes after the page's start. all must be every entry there is, before the filter: what was shown
// last may not pass the filter any more.
func following[T any](p page, all []T, key func(T) string) []T {
	return all[slices.IndexFunc(all, func(e T) bool { return key(e) == p.after })+1:]
}

// itself is the key of an entry that is a name.
func itself(name string) string { return name }
