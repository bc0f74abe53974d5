package iam

import (
	"net/http"
	"regexp"

	"grapnel/internal/awsquery"
)

// Longest names in characters, as IAM's model has them: new users get shorter ones than it accepts for old ones.
const (
	maxNewName      = 64
	maxExistingName = 128
	maxPolicyName   = 128
)

const maxPath = 512

var (
	namePattern   = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]+$`)
	pathPattern   = regexp.MustCompile(`^/([!-~]+/)?$`)
	prefixPattern = regexp.MustCompile(`^/[!-~]*$`)
)

func invalid(format string, args ...any) error {
	return awsquery.Errorf(http.StatusBadRequest, awsquery.ValidationError, format, args...)
}

func checkName(parameter, name string, longest int) error {
	switch {
	case name == "":
		return invalid("%s is missing", parameter)
	case len(name) > longest:
		return invalid("%s must be at most %d characters long, %q has %d", parameter, longest, name, len(name))
	case !namePattern.MatchString(name):
		return invalid("%s %q may hold only letters, digits and the characters _+=,.@-", parameter, name)
	}
	return nil
}

func checkPath(path string) error {
	if len(path) > maxPath || !pathPattern.MatchString(path) {
		return invalid("Path %q must begin and end with /, hold only printable ASCII characters without spaces, and be at most "+
			"%d characters long", path, maxPath)
	}
	return nil
}

func checkPathPrefix(prefix string) error {
	if len(prefix) > maxPath || !prefixPattern.MatchString(prefix) {
		return invalid("PathPrefix %q must begin with /, hold only printable ASCII characters without spaces, and be at most "+
			"%d characters long", prefix, maxPath)
	}
	return nil
}
