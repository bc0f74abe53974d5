package identity

import (
	"maps"
	"testing"
)

// FuzzOnPremises reads anything as an on-premises file: without a panic, the same each time, and never half a host.
func FuzzOnPremises(f *testing.F) {
	for _, seed := range []string{
		userFile, sessionFile + "/keys\n", userFile + sessionFile + "/keys\n", "---\n:region: r\n:iam_user_arn:\n", "region: [", "- a\n", "~", "",
		"region: &a r\niam_user_arn: *a\n", "iam_user_arn: u\niam_user_arn: v\n", "? [a]\n: b\n", "%YAML 1.2\n---\nregion: !!binary cg==\n",
		"<<: {region: r}\n", "::region::: r\n", "{iam_session_arn: s, aws_credentials_file: f, region: r}", "iam_user_arn: |\n  u\n", "\ufeffregion: r\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := parseOnPremises(data)
		again, errAgain := parseOnPremises(data)
		if (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error() || !maps.Equal(file, again) {
			t.Fatalf("%q is read as %v (%v), then as %v (%v)", data, file, err, again, errAgain)
		}
		if err != nil {
			return
		}
		user, session := file["iam_user_arn"] != "", file["iam_session_arn"] != ""
		for _, half := range []struct {
			wrong bool
			what  string
		}{
			{user && session, "both ARNs"},
			{(user || session) && file["region"] == "", "a host without a region"},
			{user && (file["aws_access_key_id"] == "" || file["aws_secret_access_key"] == ""), "a user without keys"},
			{session && file["aws_credentials_file"] == "", "a session without a file of keys"},
			{(user || session) != (file.arn() != ""), "a host without a name"},
		} {
			if half.wrong {
				t.Errorf("%q: %s accepted: %v", data, half.what, file)
			}
		}
	})
}
