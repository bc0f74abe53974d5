package api

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"grapnel/internal/awsapi"
)

// Limits of service.md 12 that belong to the protocol; see Limits for the others.
const (
	maxDescription         = 256
	maxTagKey              = 128
	maxTagValue            = 256
	maxWaitMinutes         = 2880 // termination wait, ready wait on hosts, first to last traffic shift
	maxECSReadyWaitMinutes = 7200
)

var (
	namePattern         = regexp.MustCompile(`^[A-Za-z0-9._+=,@-]{1,100}$`)
	deploymentIDPattern = regexp.MustCompile(`^d-[A-Z0-9]{9}$`)
	targetIDPattern     = regexp.MustCompile(`^[A-Za-z0-9._+=,@:/-]{1,255}$`)
	rolePattern         = regexp.MustCompile(`^arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/[A-Za-z0-9._+=,@/-]{1,512}$`)
	topicPattern        = regexp.MustCompile(`^arn:aws(-[a-z]+)*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]{1,256}$`)
	userPattern         = regexp.MustCompile(`^arn:aws(-[a-z]+)*:iam::[0-9]{12}:user/[A-Za-z0-9._+=,@/-]{1,576}$`)
	sessionPattern      = regexp.MustCompile(`^arn:aws(-[a-z]+)*:sts::[0-9]{12}:assumed-role/[A-Za-z0-9._+=,@-]{1,64}/[A-Za-z0-9._+=,@-]{2,64}$`)
)

// field checks one member that must be there and have a form; rule says that form to the user.
func field(value *string, member, absent, malformed string, form *regexp.Regexp, rule string) (string, error) {
	switch v := awsapi.Value(value); {
	case v == "":
		return "", missing(absent, member)
	case !form.MatchString(v):
		return "", failure(malformed, "%s %q is not valid; %s.", member, v, rule)
	default:
		return v, nil
	}
}

const nameRule = "it may have 1 to 100 letters, digits and . _ + = , @ -"

func applicationName(value *string) (string, error) {
	return field(value, "applicationName", awsapi.ApplicationNameRequiredException, awsapi.InvalidApplicationNameException, namePattern, nameRule)
}

func newApplicationName(value *string) (string, error) {
	return field(value, "newApplicationName", awsapi.ApplicationNameRequiredException, awsapi.InvalidApplicationNameException, namePattern, nameRule)
}

func groupName(value *string) (string, error) {
	return field(value, "deploymentGroupName", awsapi.DeploymentGroupNameRequiredException, awsapi.InvalidDeploymentGroupNameException, namePattern, nameRule)
}

func configName(value *string) (string, error) {
	return field(value, "deploymentConfigName", awsapi.DeploymentConfigNameRequiredException, awsapi.InvalidDeploymentConfigNameException, namePattern, nameRule)
}

// checkConfigName checks the name of a config where one may be left out.
func checkConfigName(value *string) error {
	if value != nil && !namePattern.MatchString(*value) {
		return failure(awsapi.InvalidDeploymentConfigNameException, "deploymentConfigName %q is not valid; %s.", *value, nameRule)
	}
	return nil
}

func deploymentID(value *string) (string, error) {
	return field(value, "deploymentId", awsapi.DeploymentIdRequiredException, awsapi.InvalidDeploymentIdException, deploymentIDPattern,
		"it looks like d-ABCDEF123")
}

func hostName(value *string) (string, error) {
	const rule = nameRule + ", and must not begin with i-, as only EC2 instances do"
	name, err := field(value, "instanceName", awsapi.InstanceNameRequiredException, awsapi.InvalidInstanceNameException, namePattern, rule)
	if err == nil && strings.HasPrefix(name, "i-") {
		return "", failure(awsapi.InvalidInstanceNameException, "instanceName %q is not valid; %s.", name, rule)
	}
	return name, err
}

func targetID(value *string) (string, error) {
	return field(value, "targetId", awsapi.DeploymentTargetIdRequiredException, awsapi.InvalidDeploymentTargetIdException, targetIDPattern,
		"list-deployment-targets shows the targets of a deployment")
}

// applicationAndGroup checks the two names that most operations on deployment groups take.
func applicationAndGroup(application, group *string) (app, name string, err error) {
	if app, err = applicationName(application); err != nil {
		return "", "", err
	}
	if name, err = groupName(group); err != nil {
		return "", "", err
	}
	return app, name, nil
}

// each checks every element of a batch: at least one, at most limit.
func each(values []string, limit int, check func(*string) (string, error)) error {
	if len(values) == 0 {
		_, err := check(nil)
		return err
	}
	if len(values) > limit {
		return failure(awsapi.BatchLimitExceededException, "The call names %d things; it may name %d. Split it.", len(values), limit)
	}
	for _, v := range values {
		if _, err := check(&v); err != nil {
			return err
		}
	}
	return nil
}

func checkDescription(description *string) error {
	if n := utf8.RuneCountInString(awsapi.Value(description)); n > maxDescription {
		return failure(awsapi.DescriptionTooLongException, "The description has %d characters; it may have %d.", n, maxDescription)
	}
	return nil
}

// hasControl reports whether text holds a control character, which no name or address may.
func hasControl(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// lengthWithin reports whether text has between low and high characters.
func lengthWithin(text string, low, high int) bool {
	n := utf8.RuneCountInString(text)
	return low <= n && n <= high
}
