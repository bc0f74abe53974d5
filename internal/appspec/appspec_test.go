package appspec

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The file that a learner needed eight tries for, in the form that she began with and the form that she ended with.
func TestLearnersFile(t *testing.T) {
	t.Parallel()
	for _, location := range []string{
		"./start_application.sh",
		"../../../../../../var/app/current/start_application.sh",
	} {
		got, err := Parse("appspec.yml", []byte(`version: 0.0
os: linux
files:
  - source: /
    destination: /var/app/current
hooks:
  AfterInstall:
    - location: `+location+`
      timeout: 180
`))
		if err != nil {
			t.Fatal(err)
		}
		want := &AppSpec{
			OS:    "linux",
			Files: []File{{Source: "/", Destination: "/var/app/current", Line: 4}},
			Hooks: map[string][]Script{
				"AfterInstall": {{Location: location, Timeout: 180 * time.Second, Line: 8}},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("location %s (-want +got):\n%s", location, diff)
		}
	}
}

// Each field once, among them a null event, scripts in their order, and a timeout in quotes or left out.
//
// agent.md 16: 122-124
func TestEverything(t *testing.T) {
	t.Parallel()
	got, err := Parse("appspec.yml", []byte(`# comment
version: 0.0
os: linux
file_exists_behavior: OVERWRITE
unknown: {ignored: true}
files:
  - {source: app.jar, destination: /opt/app}
  - source: conf
    destination: /etc/app
permissions:
  - object: " /opt/app "
    pattern: "*.jar"
    except: [old.jar, 7]
    type: [file]
    owner: app
    group: www
    mode: 644
    acls: ["alice:rw", d:g:ops:5]
    context:
      user: system_u
      type: usr_t
      range: s0-s0:c1,c2,c3
  - object: /etc/app
    mode: 0755
    type:
hooks:
  ApplicationStop:
  BeforeInstall: []
  AfterInstall:
    - location: "  a b.sh "
      runas: " app "
      sudo: yes
    - location: 12
      timeout: "300"
      runas: "  "
      sudo: off
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &AppSpec{
		OS:                 "linux",
		FileExistsBehavior: Overwrite,
		Files:              []File{{"app.jar", "/opt/app", 7}, {"conf", "/etc/app", 8}},
		Permissions: []Permission{
			{
				Object: "/opt/app", Pattern: "*.jar", Except: []string{"old.jar", "7"}, Types: []string{"file"},
				Owner: "app", Group: "www", Mode: "644",
				ACLs:    []ACL{{Tag: "user", Name: "alice", Perms: 6}, {Default: true, Tag: "group", Name: "ops", Perms: 5}},
				Context: &Context{User: "system_u", Type: "usr_t", Range: "s0:c1.c3"}, Line: 11,
			},
			{Object: "/etc/app", Pattern: "**", Types: []string{"file", "directory"}, Mode: "0755", Line: 23},
		},
		Hooks: map[string][]Script{
			"BeforeInstall": {},
			"AfterInstall": {
				{Location: "a b.sh", Timeout: DefaultTimeout, RunAs: "app", Sudo: true, Line: 30},
				{Location: "12", Timeout: 300 * time.Second, Line: 33},
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// agent.md 16: 121
func TestNoSectionsAreEmptyOnes(t *testing.T) {
	t.Parallel()
	for _, text := range []string{head, head + "files:\nhooks:\npermissions:\n", head + "files: []\nhooks: {}\npermissions: []\n"} {
		spec, err := Parse("appspec.yml", []byte(text))
		if err != nil || spec.OS != "linux" || len(spec.Files)+len(spec.Hooks)+len(spec.Permissions) > 0 {
			t.Errorf("%q: %+v, %v; want an AppSpec without files, hooks and permissions", text, spec, err)
		}
	}
}

// The documentation calls the SELinux user "user", the stock agents read "name" (agent.md 7.2).
func TestContextUser(t *testing.T) {
	t.Parallel()
	for fields, want := range map[string]Context{
		"type: t":                           {Type: "t"},
		"type: t, user: u":                  {Type: "t", User: "u"},
		"type: t, name: n":                  {Type: "t", User: "n"},
		"type: t, name: n, user: u":         {Type: "t", User: "n"},
		"type: t, name: ' ', user: u":       {Type: "t", User: "u"},
		"type: ' t ', range: 's0-s0:c1,c0'": {Type: "t", Range: "s0:c0.c1"},
	} {
		spec, err := Parse("appspec.yml", []byte(head+"permissions:\n  - object: /x\n    context: {"+fields+"}\n"))
		if err != nil {
			t.Errorf("%s: %v", fields, err)
			continue
		}
		if got := *spec.Permissions[0].Context; got != want {
			t.Errorf("%s: %+v, want %+v", fields, got, want)
		}
	}
}

const head = "version: 0.0\nos: linux\n"

// What is accepted although it looks odd, because the stock agent accepts it.
func TestAccepted(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"version 0":            "version: 0\nos: linux\n",
		"version 0x0":          "version: 0x0\nos: linux\n",
		"no sections":          head,
		"null sections":        head + "files:\nhooks:\npermissions: ~\nfile_exists_behavior:\n",
		"JSON":                 `{"version": 0.0, "os": "linux", "files": [{"source": "/", "destination": "/x"}]}`,
		"Windows line ends":    "version: 0.0\r\nos: linux\r\nfiles:\r\n  - source: /\r\n    destination: /x\r\n",
		"byte order mark":      "\xef\xbb\xbf" + head,
		"directive and marker": "%YAML 1.1\n---\n" + head,
		"second document":      head + "---\nnonsense\n",
		"quoted os":            "version: 0.0\nos: 'linux'\n",
		"duplicate key":        "version: 1\nos: windows\n" + head,
		"alias and merge key":  head + "hooks:\n  AfterInstall: &s\n    - &one {location: a.sh}\n    - {<<: *one, timeout: 5}\n  ValidateService: *s\n",
	} {
		if _, err := Parse("appspec.yml", []byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each mistake with the place, reason and fix that its author sees.
//
// agent.md 16: 118-120, 125-131, 133, 134, 156
func TestMistakes(t *testing.T) {
	t.Parallel()
	const script, file, permission = head + "hooks:\n  AfterInstall:\n    - ", head + "files:\n  - ", head + "permissions:\n  - object: /x\n    "
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", `appspec.yml: the AppSpec file is empty; it begins with "version: 0.0" and "os: linux"`},
		{"blank", " \n# nothing\n", `the AppSpec file is empty`},
		{"null", "---\n~\n", `the AppSpec file is empty`},
		{"scalar", "hello world", `appspec.yml:1:1: an AppSpec file must be a mapping, not a single value; it begins with`},
		{"list", "- a\n", `1:1: an AppSpec file must be a mapping, not a list`},
		{"zip", "PK\x03\x04\x00", `1:3: it is not a text file in UTF-8; save it as plain text in UTF-8`},
		{"latin 1", head + "# caf\xe9\n", `3:6: it is not a text file in UTF-8`},
		{"half a character of UTF-16", "\xff\xfe0", `appspec.yml:1: it is not valid YAML: incomplete UTF-16 character`},
		{"tab", head + "files:\n\t- source: /\n", `4:1: it is not valid YAML`},
		{"tab fix", head + "files:\n\t- source: /\n", `the line is indented with a tab; indent with spaces`},
		{"colon", head + "a: b: c\n", `3:5: it is not valid YAML: mapping values are not allowed in this context; put quotes around a value that holds ": "`},
		{"at sign", head + "a: @b\n", `3:4: it is not valid YAML`},
		{"indentation", head + "files:\n  - source: /\n   destination: /x\n", `begin the keys of one level in the same column`},
		{"anchor", head + "a: *b\n", `put quotes around a value that begins with * or &`},

		{"version missing", "os: linux\n", `1:1: the AppSpec file has no version; add "version: 0.0"`},
		{"version null", "version:\nos: linux\n", `the AppSpec file has no version`},
		{"version misspelt", "Version: 0.0\nos: linux\n", `it has "Version"; did you mean "version"?`},
		{"version quoted", "version: \"0.0\"\nos: linux\n", `1:10: version is the text "0.0", but must be the number 0.0; write version: 0.0, without quotes`},
		{"version tagged", "version: !!str 0.0\nos: linux\n", `version is the text "0.0"`},
		{"version wrong", "version: 1.0\nos: linux\n", `version is "1.0", but the only one there is is 0.0`},
		{"version three parts", "version: 0.0.0\nos: linux\n", `version is "0.0.0"`},
		{"version false", "version: false\nos: linux\n", `version is "false"`},
		{"version list", "version: [0.0]\nos: linux\n", `version must be the number 0.0, not a list`},
		{"os missing", "version: 0.0\n", `the AppSpec file has no os; add "os: linux"`},
		{"os windows", "version: 0.0\nos: windows\n", `2:5: os is "windows", but this agent runs on linux; write os: linux, in lower case`},
		{"os capital", "version: 0.0\nos: Linux\n", `os is "Linux"`},
		{"os list", "version: 0.0\nos: [linux]\n", `os must be a single value, not a list`},
		{"ECS", "version: 0.0\nResources:\n  - a\n", `it is an AppSpec file for ECS or Lambda (it has "Resources"), but the deployment is to hosts`},

		{"behavior", head + "file_exists_behavior: overwrite\n", `3:23: file_exists_behavior is "overwrite"; write DISALLOW, OVERWRITE or RETAIN, in upper case`},
		{"files mapping", head + "files:\n  source: /\n", `4:3: files must be a list, not a mapping; write "files:" and below it "  - source: /"`},
		{"file scalar", file + "app.jar\n", `4:5: an entry of files must be a mapping, not a single value`},
		{"source missing", file + "destination: /x\n", `4:5: this entry of files has no source; add "source: /"`},
		{"source empty", file + "source: ''\n    destination: /x\n", `4:13: this entry of files has no source`},
		{"destination missing", file + "source: /\n", `this entry of files has no destination; add "destination: /var/app"`},
		{"destination null", file + "source: /\n    destination: ~\n", `this entry of files has no destination`},
		{"destination misspelt", file + "source: /\n    desitnation: /x\n", `it has "desitnation"; did you mean "destination"?`},

		{"hooks list", head + "hooks:\n  - AfterInstall\n", `4:3: hooks must be a mapping, not a list`},
		{"event scalar", head + "hooks:\n  AfterInstall: a.sh\n", `4:17: AfterInstall must be a list, not a single value; write each script as "- location: scripts/x.sh"`},
		{"event mapping", head + "hooks:\n  AfterInstall:\n    location: a.sh\n", `AfterInstall must be a list, not a mapping`},
		{"script scalar", script + "a.sh\n", `5:7: a script of AfterInstall must be a mapping, not a single value`},
		{"script null", script + "\n", `a script of AfterInstall must be a mapping, not empty`},
		{"location missing", script + "timeout: 5\n", `5:7: a script of AfterInstall has no location; add "location: scripts/x.sh"`},
		{"location misspelt", script + "locaton: a.sh\n", `it has "locaton"; did you mean "location"?`},
		{"location blank", script + "location: '  '\n", `5:17: a script of AfterInstall has no location`},
		{"location list", script + "location: [a.sh]\n", `location must be a single value, not a list`},
		{"timeout word", script + "location: a\n      timeout: abc\n", `6:16: timeout is "abc", which is no number; write a whole number of seconds, such as 300`},
		{"timeout zero", script + "location: a\n      timeout: 0\n", `timeout is "0", but must be at least 1 second`},
		{"timeout negative", script + "location: a\n      timeout: '-5'\n", `timeout is "-5", but must be at least 1 second`},
		{"timeout bool", script + "location: a\n      timeout: yes\n", `timeout is "yes", which is no number`},
		{"timeout list", script + "location: a\n      timeout: [5]\n", `timeout must be a number, not a list`},
		{"timeout infinite", script + "location: a\n      timeout: .inf\n", `timeout is ".inf", more than a year`},
		{"timeout long", script + "location: a\n      timeout: 99999999999999999999\n", `more than a year`},

		{"object missing", head + "permissions:\n  - owner: x\n", `4:5: this entry of permissions has no object; add "object: /var/app"`},
		{"mode five digits", permission + "mode: 07777\n", `5:11: mode "07777" is not one to four octal digits; write for example mode: "0644"`},
		{"mode not octal", permission + "mode: '0984'\n", `mode "0984"`},
		{"mode not octal at the end", permission + "mode: '798'\n", `mode "798" is not one to four octal digits`},
		{"mode symbolic", permission + "mode: u+x\n", `mode "u+x"`},
		{"type scalar", permission + "type: file\n", `5:11: type must be a list, not a single value; write "type: [file]"`},
		{"type unknown", permission + "type: [file, folder]\n", `5:18: type "folder" is unknown`},
		{"except scalar", permission + "except: a\n", `except must be a list, not a single value`},
		{"acl mapping", permission + "acls:\n      - user: bob\n", `6:9: an entry of acls must be a single value, not a mapping; write entries as "user:alice:rw", in quotes`},
		{"acl bad", permission + "acls:\n      - bob:rw\n      - bob:rq\n", `7:9: acls entry "bob:rq": permission character 'q' is unknown; the form is`},
		{"context without type", permission + "context: {name: a}\n", `context has no type; add "type: httpd_sys_content_t"`},
		{"context type blank", permission + "context: {user: a, type: ' '}\n", `context has no type`},
		{"context role", permission + "context: {type: a, role: b}\n", `context has a role, which files cannot be given; remove it`},
		{"context scalar", permission + "context: a\n", `context must be a mapping, not a single value`},
		{"range", permission + "context: {type: a, range: s1-s0}\n", `range "s1-s0": its sensitivities are in the wrong order`},
		{"merge", head + "hooks: {<<: 5}\n", `the value of "<<" must be a mapping, not a single value`},
	} {
		_, err := Parse("appspec.yml", []byte(c.text))
		var mistake *Error
		if !errors.As(err, &mistake) {
			t.Errorf("%s: error = %v, want an *Error", c.name, err)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.name, err, c.want)
		}
	}
}

// agent.md 16: 123
func TestTimeouts(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"300": 300, `"300"`: 300, "1.9": 1, `"300s"`: 300, "0300": 192, "1_000": 1000, "1,000": 1000, "1e3": 1, "'1_0x'": 10, "12:30": 45000, "": 3600, "~": 3600,
	} {
		spec, err := Parse("appspec.yml", []byte(head+"hooks:\n  AfterInstall:\n    - location: a\n      timeout: "+value+"\n"))
		if err != nil {
			t.Errorf("%q: %v", value, err)
			continue
		}
		if got := spec.Hooks["AfterInstall"][0].Timeout; got != want*time.Second {
			t.Errorf("timeout: %s is %v, want %v", value, got, want*time.Second)
		}
	}
}

// The source text counts, not the octal number that YAML 1.1 reads (agent.md 7.2).
//
// agent.md 16: 130
func TestModes(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{"0644": "0644", "'0755'": "0755", "644": "644", "7": "007", "'44'": "044", "4755": "4755", "0": "000"} {
		spec, err := Parse("appspec.yml", []byte(head+"permissions:\n  - object: /x\n    mode: "+value+"\n"))
		if err != nil {
			t.Errorf("%q: %v", value, err)
			continue
		}
		if got := spec.Permissions[0].Mode; got != want {
			t.Errorf("mode: %s is %q, want %q", value, got, want)
		}
	}
}

func TestSudoIsTrueAsInRuby(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{"yes": true, "1": true, "0": true, `"no"`: true, "[]": true, "no": false, "False": false, "": false, "~": false} {
		spec, err := Parse("appspec.yml", []byte(head+"hooks:\n  AfterInstall:\n    - location: a\n      sudo: "+value+"\n"))
		if err != nil {
			t.Errorf("%q: %v", value, err)
			continue
		}
		if got := spec.Hooks["AfterInstall"][0].Sudo; got != want {
			t.Errorf("sudo: %s is %v, want %v", value, got, want)
		}
	}
}

// Input made to use up memory, time or stack is refused, or read, at once.
func TestHostileInputIsBounded(t *testing.T) {
	t.Parallel()
	bomb := head + "x: &s\n" + strings.Repeat("  - {location: a}\n", 5000) + "hooks:\n"
	for i := range 5000 {
		bomb += "  E" + strings.Repeat("x", i%9) + string(rune('a'+i%26)) + strings.Repeat("y", i/1000) + ": *s\n"
	}
	loop := head + "hooks: &a {<<: *a}\n"
	for name, text := range map[string]string{
		"alias bomb":    bomb,
		"merge loop":    loop,
		"flow nesting":  head + "x: " + strings.Repeat("[", 100_000),
		"block nesting": strings.Repeat("- ", 100_000),
		"key nesting":   strings.Repeat("? ", 100_000),
		"too large":     head + "# " + strings.Repeat("x", MaxSize),
	} {
		begin := time.Now()
		_, err := Parse("appspec.yml", []byte(text))
		if mistake := (*Error)(nil); !errors.As(err, &mistake) {
			t.Errorf("%s: error = %v, want an *Error", name, err)
		}
		t.Logf("%s: %v, %.100v", name, time.Since(begin), err)
	}
}

func TestParseFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "appspec.yml")
	if err := os.WriteFile(path, []byte("version: 0.0\nos: beos\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseFile(path); err == nil || !strings.HasPrefix(err.Error(), path+":2:5: os is") {
		t.Errorf("error = %v, want one that begins with the path", err)
	}
	var mistake *Error
	if _, err := ParseFile(path + ".missing"); !errors.As(err, &mistake) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error = %v, want an *Error that is ErrNotExist", err)
	}
}

// FuzzParse checks that whatever is read either is an AppSpec that can be worked with, or is refused with the line where it
// goes wrong, in a time that does not explode.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		head, "", "version: 0.0\nos: linux\nhooks: {A: [{location: x, timeout: 5}]}\n",
		head + "permissions: [{object: /x, mode: 0644, acls: [d:u:bob:rw], context: {type: t, range: 's0:c1,c2'}}]\n",
		head + "a: &a [1]\nfiles: *a\n", head + "hooks: {<<: {A: ~}}\n", "\xff\xfea\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		begin := time.Now()
		spec, err := Parse("appspec.yml", data)
		if took := time.Since(begin); took > 10*time.Second {
			t.Fatalf("%d bytes took %v", len(data), took)
		}
		if err != nil {
			checkMistake(t, err)
			return
		}
		for event, scripts := range spec.Hooks {
			for _, s := range scripts {
				if strings.TrimSpace(s.Location) == "" || s.Timeout < time.Second || s.Line < 1 {
					t.Fatalf("%s has the script %+v", event, s)
				}
			}
		}
		for _, p := range spec.Permissions {
			if strings.TrimSpace(p.Object) == "" || p.Pattern == "" || p.Line < 1 {
				t.Fatalf("permission %+v", p)
			}
		}
		for _, file := range spec.Files {
			if strings.TrimSpace(file.Source) == "" || strings.TrimSpace(file.Destination) == "" || file.Line < 1 {
				t.Fatalf("file %+v", file)
			}
		}
	})
}

// checkMistake fails unless err says where: only a file that is empty, or too large, goes wrong nowhere in particular.
func checkMistake(t *testing.T, err error) {
	t.Helper()
	var mistake *Error
	switch {
	case !errors.As(err, &mistake):
		t.Fatalf("error %v (%T) is no *Error", err, err)
	case mistake.Message == "":
		t.Fatalf("%#v does not say what is wrong", mistake)
	case mistake.Line < 1 && !strings.Contains(mistake.Message, "is empty") && !strings.Contains(mistake.Message, "is larger"):
		t.Fatalf("%v has no line", mistake)
	}
}
