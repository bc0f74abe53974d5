package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"grapnel/internal/appspec"
)

// Programs that set SELinux contexts. Only they know the policy store of a host.
const (
	semanage   = "semanage"
	restorecon = "restorecon"
)

// labelled is an object, by its real path, that gets a context.
type labelled struct {
	path    string
	context *appspec.Context
}

// setContexts adds a rule for each object that is to have a context, notes it in the cleanup file, and applies the rules.
func (p *Plan) setContexts(ctx context.Context, l *ledger) error {
	var objects []labelled
	for _, a := range p.accesses {
		if a.entry.Context == nil {
			continue
		}
		path, err := filepath.EvalSymlinks(a.path)
		if err != nil {
			return fmt.Errorf("cannot set the SELinux context of %s: %w", a.path, err)
		}
		objects = append(objects, labelled{path, a.entry.Context})
	}
	if len(objects) == 0 {
		return nil
	}
	if err := addRules(ctx, l, objects); err != nil {
		return err
	}
	const most = 500 // paths in one command line
	for some := range slices.Chunk(objects, most) {
		args := []string{"-vF"}
		for _, o := range some {
			args = append(args, o.path)
		}
		if err := run(ctx, nil, restorecon, args...); err != nil {
			return fmt.Errorf("cannot set the SELinux contexts: %w", err)
		}
	}
	return nil
}

// addRules adds all rules in one transaction, because each call of semanage takes about a second to build the policy. If
// that fails they are added one by one, which shows the one that cannot be.
func addRules(ctx context.Context, l *ledger, objects []labelled) error {
	var script strings.Builder
	notes := make([]string, len(objects))
	plain := len(objects) > 1
	for i, o := range objects {
		notes[i] = semanagePrefix + o.path
		plain = plain && isPlain(o.path)
		fmt.Fprintln(&script, strings.Join(o.addRule(), " "))
	}
	if plain && run(ctx, []byte(script.String()), semanage, "import") == nil {
		return l.note(notes...)
	}
	for i, o := range objects {
		if err := run(ctx, nil, semanage, o.addRule()...); err != nil {
			return fmt.Errorf("cannot set the SELinux context of %s: %w", o.path, err)
		}
		if err := l.note(notes[i]); err != nil {
			return err
		}
	}
	return nil
}

// addRule returns the arguments of semanage (agent.md 8.2).
func (o labelled) addRule() []string {
	args := []string{"fcontext", "-a"}
	if o.context.User != "" {
		args = append(args, "-s", o.context.User)
	}
	args = append(args, "-t", o.context.Type)
	if o.context.Range != "" {
		args = append(args, "-r", o.context.Range)
	}
	return append(args, quoteRule(o.path))
}

// quoteRule makes a path the regular expression that a rule is. The dot stays as it is: it matches itself, and so the rules
// are those of stock agents wherever theirs work.
func quoteRule(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		if strings.IndexByte(`\+*?()[]{}|^$`, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// isPlain reports whether a path has nothing that semanage import, which splits its lines at blanks and reads quotes and
// backslashes, could take for something else.
func isPlain(path string) bool {
	return quoteRule(path) == path && !strings.ContainsAny(path, " \t\"'#")
}

// forgetContexts removes the rules that a previous Install added. Rules may be gone, and so may the program: nothing is an
// error here, as with stock agents.
func forgetContexts(ctx context.Context, paths []string) {
	if len(paths) == 0 {
		return
	}
	if len(paths) > 1 && !slices.ContainsFunc(paths, func(path string) bool { return !isPlain(path) }) {
		script := "fcontext -d " + strings.Join(paths, "\nfcontext -d ") + "\n"
		if run(ctx, []byte(script), semanage, "import") == nil {
			return
		}
	}
	for _, path := range paths {
		_ = run(ctx, nil, semanage, "fcontext", "-d", quoteRule(path))
	}
}

// run executes a program. Its error names the command, how it ended and the last line of what it said.
func run(ctx context.Context, input []byte, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 5 * time.Second
	cmd.Stdin = bytes.NewReader(input)
	output, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	return fmt.Errorf("%s: %w: %s", brief(cmd.Args), err, strings.TrimSpace(lines[len(lines)-1]))
}

// brief is a command line of which a long tail of paths is left out.
func brief(args []string) string {
	const most = 10
	if len(args) > most {
		return strings.Join(args[:most], " ") + " ..."
	}
	return strings.Join(args, " ")
}

// checkPrograms refuses a plan that needs a program which this host does not have.
func (p *Plan) checkPrograms() {
	i := slices.IndexFunc(p.accesses, func(a *access) bool { return a.entry.Context != nil })
	if i < 0 {
		return
	}
	for _, name := range []string{semanage, restorecon} {
		if _, err := exec.LookPath(name); errors.Is(err, exec.ErrNotFound) {
			p.refuse(p.accesses[i].path, "permissions (%s): a context needs the program %s, which is not on this host; install it "+
				"(package policycoreutils, policycoreutils-python-utils or selinux-utils), or remove the context", p.where(p.accesses[i].entry.Line), name)
		}
	}
}
