package main

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Model is a service description in botocore's format, reduced to what the generator reads. Decoding a full botocore
// model into it drops the documentation; encoding it again gives the reduced copy kept beside this file.
type Model struct {
	Metadata   Metadata             `json:"metadata"`
	Operations map[string]Operation `json:"operations"`
	Shapes     map[string]Shape     `json:"shapes"`
}

// Metadata names the protocol version and the prefix of X-Amz-Target.
type Metadata struct {
	APIVersion   string `json:"apiVersion"`
	TargetPrefix string `json:"targetPrefix"`
}

// Operation is one call of the service.
type Operation struct {
	Input  Ref   `json:"input"`
	Output *Ref  `json:"output,omitempty"` // nil when the call answers nothing
	Errors []Ref `json:"errors,omitempty"`
}

// Shape is one type of the service.
type Shape struct {
	Type      string   `json:"type"`
	Enum      []string `json:"enum,omitempty"`
	Members   Members  `json:"members,omitempty"`
	Member    *Ref     `json:"member,omitempty"`
	Key       *Ref     `json:"key,omitempty"`
	Value     *Ref     `json:"value,omitempty"`
	Exception bool     `json:"exception,omitempty"`
}

// Ref names a shape.
type Ref struct {
	Shape string `json:"shape"`
}

// Member is one member of a structure.
type Member struct {
	Name  string
	Shape string
}

// Members are the members of a structure in the order of the model, which reads better than the order of the alphabet
// that a map would leave.
type Members []Member

// UnmarshalJSON reads a JSON object and keeps the order of its members.
func (m *Members) UnmarshalJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var ref Ref
		if err := dec.Decode(&ref); err != nil {
			return fmt.Errorf("member %v: %w", name, err)
		}
		*m = append(*m, Member{Name: name.(string), Shape: ref.Shape})
	}
	return nil
}

// MarshalJSON writes a JSON object with the members in order.
func (m Members) MarshalJSON() ([]byte, error) {
	var buf bytes.Buffer
	buf.WriteByte('{')
	for i, member := range m {
		if i > 0 {
			buf.WriteByte(',')
		}
		fmt.Fprintf(&buf, "%q:{\"shape\":%q}", member.Name, member.Shape)
	}
	buf.WriteByte('}')
	return buf.Bytes(), nil
}
