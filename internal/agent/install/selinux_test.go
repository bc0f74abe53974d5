package install

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// policy puts programs semanage and restorecon in the PATH that write down how they are called. They fail when the file of
// that name with ".fails" holds a text that they are called with.
func (h *host) policy() {
	h.Helper()
	const program = `#!/bin/sh
log=DIR/calls
echo "${0##*/} $*" >>"$log"
if [ "$2" = "" ]; then input=$(cat); echo "$input" | sed 's/^/  /' >>"$log"; fi
if [ -f "$0.fails" ] && echo "$* $input" | grep -qF "$(cat "$0.fails")"; then
  echo "first line"
  echo "ValueError: no such type" >&2
  exit 3
fi
`
	for _, name := range []string{semanage, restorecon} {
		writeFile(h, h.path("bin/"+name), strings.ReplaceAll(program, "DIR", h.dir))
		must(h, os.Chmod(h.path("bin/"+name), 0o755))
	}
	h.TB.(*testing.T).Setenv("PATH", h.path("bin")+":"+os.Getenv("PATH"))
}

// calls returns and forgets how the programs were called.
func (h *host) calls() string {
	h.Helper()
	text := strings.ReplaceAll(readFile(h, h.path("calls")), h.dir, "DIR")
	must(h, os.Remove(h.path("calls")))
	return text
}

const oneContext = all + "permissions:\n  - {object: DIR/app/f, context: {name: system_u, type: httpd_t, range: \"s0-s1:c1\"}}\n"

func TestContextOfOneFile(t *testing.T) {
	h := newHost(t)
	h.policy()
	o := h.revision(oneContext, files{"f": ""})
	h.install(o)
	want := "semanage fcontext -a -s system_u -t httpd_t -r s0-s1:c1 DIR/app/f\nrestorecon -vF DIR/app/f\n"
	if diff := cmp.Diff(want, h.calls()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	wantContains(t, readFile(t, o.CleanupFile), "\nsemanage\x00"+h.app("f")+"\n")
	wantContains(t, readFile(t, o.InstructionsFile),
		`{"type":"semanage","context":{"user":"system_u","role":null,"type":"httpd_t","range":"s0-s1:c1"},"file":"`+h.app("f")+`"}`)
	h.install(h.revision("", nil))
	if diff := cmp.Diff("semanage fcontext -d DIR/app/f\n", h.calls()); diff != "" {
		t.Errorf("calls of the next Install (-want +got):\n%s", diff)
	}
}

// Many files take one transaction, because each takes about a second; names that it could misread are left out of it.
func TestContextsOfManyFiles(t *testing.T) {
	const spec = all + "permissions:\n  - {object: DIR/app, context: {type: httpd_t}}\n"
	h := newHost(t)
	h.policy()
	h.install(h.revision(spec, files{"a": "", "b": ""}))
	want := "semanage import\n  fcontext -a -t httpd_t DIR/app/a\n  fcontext -a -t httpd_t DIR/app/b\nrestorecon -vF DIR/app/a DIR/app/b\n"
	if diff := cmp.Diff(want, h.calls()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	h.install(h.revision(spec, files{"a b": "", "c++": ""}))
	want = "semanage import\n  fcontext -d DIR/app/b\n  fcontext -d DIR/app/a\n" +
		"semanage fcontext -a -t httpd_t DIR/app/a b\nsemanage fcontext -a -t httpd_t DIR/app/c\\+\\+\nrestorecon -vF DIR/app/a b DIR/app/c++\n"
	if diff := cmp.Diff(want, h.calls()); diff != "" {
		t.Errorf("calls of the next Install (-want +got):\n%s", diff)
	}
}

// What one entry sets of a file is set in the order of stock agents.
// agent.md 16: 154
func TestOrderOfPermissions(t *testing.T) {
	h := newHost(t)
	h.policy()
	got := h.instructions(h.revision(all+"permissions:\n  - {object: DIR/app/f, owner: root, context: {type: httpd_t}, acls: [\"daemon:rw\"], mode: \"640\"}\n", files{"f": ""}))
	var order []string
	for _, m := range regexp.MustCompile(`"type":"(\w+)"[^\n]*DIR/app/f"}`).FindAllStringSubmatch(got, -1) {
		order = append(order, m[1])
	}
	if diff := cmp.Diff([]string{"copy", "chmod", "setfacl", "semanage", "chown"}, order); diff != "" {
		t.Errorf("instructions (-want +got):\n%s\n%s", diff, got)
	}
}

// agent.md 16: 155
func TestFailingProgramFailsTheInstall(t *testing.T) {
	for name, want := range map[string]string{
		semanage:   "semanage fcontext -a -t httpd_t ",
		restorecon: "restorecon -vF ",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.policy()
			writeFile(t, h.path("bin/"+name+".fails"), "app/bad")
			o := h.revision(all+"permissions:\n  - {object: DIR/app, context: {type: httpd_t}}\n", files{"bad": "", "good": ""})
			p, err := New(t.Context(), o)
			must(t, err)
			err = p.Run(t.Context())
			if err == nil {
				t.Fatal("the Install succeeded")
			}
			wantContains(t, err.Error(), want, "app/bad", "exit status 3: ValueError: no such type")
			if strings.Contains(err.Error(), "first line") {
				t.Errorf("more than the last line: %v", err)
			}
		})
	}
}

// Rules and programs that are gone do not stop the next Install.
func TestRulesThatAreGone(t *testing.T) {
	h := newHost(t)
	h.policy()
	h.install(h.revision(oneContext, files{"f": ""}))
	writeFile(t, h.path("bin/semanage.fails"), "-d")
	h.install(h.revision(all, files{"f": ""}))
	h.install(h.revision(oneContext, files{"f": ""}))
	must(t, os.RemoveAll(h.path("bin")))
	h.install(h.revision(all, files{"f": "2"}))
	if readFile(t, h.app("f")) != "2" {
		t.Error("the file was not replaced")
	}
}

func TestContextNeedsItsPrograms(t *testing.T) {
	h := newHost(t)
	t.Setenv("PATH", h.path("empty"))
	o := h.revision(oneContext, files{"f": ""})
	wantContains(t, h.refused(o), "needs the program semanage, which is not on this host", "restorecon")
}

func TestUnconfinedContext(t *testing.T) {
	h := newHost(t)
	h.policy()
	o := h.revision(all+"permissions:\n  - {object: DIR/app/f, context: {type: unconfined_t}}\n", files{"f": ""})
	o.Hardening.RejectUnconfinedSELinux = true
	wantContains(t, h.refused(o), "line 6): the SELinux type unconfined_t is unconfined")
}
