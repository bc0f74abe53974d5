package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// document is an identity policy in IAM's policy language. Its parts are here to be checked: what is stored is the text.
type document struct {
	Version   string
	ID        string `json:"Id"`
	Statement oneOrMore[statement]
}

type statement struct {
	Sid                   string
	Effect                string
	Action, NotAction     oneOrMore[string]
	Resource, NotResource oneOrMore[string]
	Condition             map[string]map[string]oneOrMore[any]
}

// oneOrMore is a list whose brackets may be left out when it has one element.
type oneOrMore[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (l *oneOrMore[T]) UnmarshalJSON(data []byte) error {
	if data[0] == '[' {
		return strict(data, (*[]T)(l))
	}
	*l = make([]T, 1)
	return strict(data, &(*l)[0])
}

// strict refuses members that the policy language does not have: a misspelt NotResource would otherwise be lost in silence,
// and the policy say something else than its author meant.
func strict(data []byte, out any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(out); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("there is something after the JSON object")
	}
	return nil
}

// checkDocument says what makes a text no policy.
func checkDocument(text string) error {
	for _, r := range text {
		if r > 0xFF || r < ' ' && r != '\t' && r != '\n' && r != '\r' {
			return fmt.Errorf("the character %q is not allowed", r)
		}
	}
	var d document
	if err := strict([]byte(text), &d); err != nil {
		return fmt.Errorf("not a policy in JSON: %w", err)
	}
	if d.Version != "" && d.Version != "2012-10-17" && d.Version != "2008-10-17" {
		return fmt.Errorf("there is no Version %q of the policy language; use 2012-10-17", d.Version)
	}
	if len(d.Statement) == 0 {
		return errors.New("it has no Statement")
	}
	for i, s := range d.Statement {
		if err := s.check(); err != nil {
			return fmt.Errorf("statement %d: %w", i+1, err)
		}
	}
	return nil
}

func (s statement) check() error {
	switch {
	case s.Effect != "Allow" && s.Effect != "Deny":
		return fmt.Errorf("its Effect must be Allow or Deny, got %q", s.Effect)
	case (len(s.Action) == 0) == (len(s.NotAction) == 0):
		return errors.New("it needs either Action or NotAction")
	case (len(s.Resource) == 0) == (len(s.NotResource) == 0):
		return errors.New("it needs either Resource or NotResource")
	}
	for _, action := range slices.Concat(s.Action, s.NotAction) {
		if service, name, _ := strings.Cut(action, ":"); action != "*" && (service == "" || name == "") {
			return fmt.Errorf("the action %q must look like s3:GetObject, or be *", action)
		}
	}
	for _, resource := range slices.Concat(s.Resource, s.NotResource) {
		if resource != "*" && !strings.HasPrefix(resource, "arn:") {
			return fmt.Errorf("the resource %q must be an ARN or *", resource)
		}
	}
	return nil
}
