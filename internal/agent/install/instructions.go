package install

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"grapnel/internal/appspec"
)

// The JSON forms are those of stock agents (agent.md 8.2). The file is for people, who find in it what an Install did.
type (
	mkdirInstruction struct {
		Type      string `json:"type"`
		Directory string `json:"directory"`
	}
	copyInstruction struct {
		Type        string `json:"type"`
		Source      string `json:"source"`
		Destination string `json:"destination"`
	}
	chmodInstruction struct {
		Type string `json:"type"`
		Mode string `json:"mode"`
		File string `json:"file"`
	}
	setfaclInstruction struct {
		Type string   `json:"type"`
		ACL  []string `json:"acl"`
		File string   `json:"file"`
	}
	semanageInstruction struct {
		Type    string      `json:"type"`
		Context contextJSON `json:"context"`
		File    string      `json:"file"`
	}
	contextJSON struct {
		User  *string `json:"user"`
		Role  *string `json:"role"`
		Type  string  `json:"type"`
		Range *string `json:"range"`
	}
	chownInstruction struct {
		Type  string  `json:"type"`
		Owner *string `json:"owner"` // null keeps it
		Group *string `json:"group"`
		File  string  `json:"file"`
	}
)

func (f *folder) instruction() any { return mkdirInstruction{"mkdir", f.path} }

func (f *file) instruction() any { return copyInstruction{"copy", f.source, f.destination} }

// instructions returns an access as stock agents write it, in the order in which its parts take effect.
func (a *access) instructions() []any {
	var list []any
	if a.entry.Mode != "" {
		list = append(list, chmodInstruction{"chmod", a.entry.Mode, a.path})
	}
	if len(a.entry.ACLs) > 0 {
		list = append(list, setfaclInstruction{"setfacl", aclStrings(a.entry.ACLs), a.path})
	}
	if c := a.entry.Context; c != nil {
		list = append(list, semanageInstruction{"semanage", contextJSON{orNull(c.User), nil, c.Type, orNull(c.Range)}, a.path})
	}
	if a.entry.Owner != "" || a.entry.Group != "" {
		list = append(list, chownInstruction{"chown", orNull(a.entry.Owner), orNull(a.entry.Group), a.path})
	}
	return list
}

func aclStrings(entries []appspec.ACL) []string {
	list := make([]string, len(entries))
	for i, entry := range entries {
		list[i] = entry.String()
	}
	return list
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// writeInstructions writes the plan down before it is executed.
func (p *Plan) writeInstructions() error {
	f, err := os.OpenFile(p.options.InstructionsFile, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, p.options.Mode)
	if err == nil {
		w := bufio.NewWriterSize(f, 64<<10)
		err = errors.Join(p.encodeInstructions(w), w.Flush(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("cannot write the instructions: %w", err)
	}
	return nil
}

// encodeInstructions writes one instruction after the other: the whole would take more memory than the plan.
func (p *Plan) encodeInstructions(w io.Writer) error {
	e := instructionEncoder{w: w}
	e.open()
	for _, s := range p.steps {
		e.add(s.instruction())
	}
	for _, a := range p.accesses {
		for _, i := range a.instructions() {
			e.add(i)
		}
	}
	return e.close()
}

type instructionEncoder struct {
	w     io.Writer
	text  bytes.Buffer
	json  *json.Encoder
	count int
	err   error
}

func (e *instructionEncoder) open() {
	e.json = json.NewEncoder(&e.text)
	e.json.SetEscapeHTML(false)
	_, e.err = io.WriteString(e.w, `{"instructions":[`)
}

func (e *instructionEncoder) add(instruction any) {
	e.text.Reset()
	if e.count > 0 {
		e.text.WriteByte(',')
	}
	e.count++
	if err := e.json.Encode(instruction); e.err == nil {
		e.err = err
	}
	if _, err := e.w.Write(bytes.TrimSuffix(e.text.Bytes(), []byte("\n"))); e.err == nil {
		e.err = err
	}
}

func (e *instructionEncoder) close() error {
	_, err := io.WriteString(e.w, "]}")
	return errors.Join(e.err, err)
}
