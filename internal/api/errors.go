package api

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/planner"
	"grapnel/internal/store"
)

// Messages say what to do next. Those for a missing thing end with its name after "found for name: ", because tools cut it
// out there (service.md 2.1).

// failure returns the error with an AWS name.
func failure(name, format string, args ...any) error { return awsjson.Errorf(name, format, args...) }

// missing says that a member that the operation needs is absent or empty.
func missing(name, member string) error {
	return failure(name, "%s is missing; give it a value.", member)
}

// notOneOf says that a member of an enumeration has an unknown value.
func notOneOf[E ~string](name, member string, got E, values []E) error {
	var words []string
	for _, v := range values {
		words = append(words, string(v))
	}
	return failure(name, "%s is %q; it must be one of %s.", member, got, strings.Join(words, ", "))
}

// oneOf checks a member of an enumeration; absent is fine.
func oneOf[E interface {
	~string
	Values() []E
}](name, member string, got E) error {
	if got == "" || slices.Contains(got.Values(), got) {
		return nil
	}
	return notOneOf(name, member, got, got.Values())
}

func applicationDoesNotExist(name string) error {
	return failure(awsapi.ApplicationDoesNotExistException,
		"Check the name with list-applications. No application found for name: %s", name)
}

func applicationAlreadyExists(name string) error {
	return failure(awsapi.ApplicationAlreadyExistsException,
		"There is an application named %s already; take another name, or delete that one first.", name)
}

func groupDoesNotExist(application, name string) error {
	return failure(awsapi.DeploymentGroupDoesNotExistException,
		"Check the name with list-deployment-groups --application-name %s. No Deployment Group found for name: %s", application, name)
}

func groupAlreadyExists(application, name string) error {
	return failure(awsapi.DeploymentGroupAlreadyExistsException,
		"Application %s has a deployment group named %s already; take another name, or change that one with update-deployment-group.", application, name)
}

func configDoesNotExist(name string) error {
	return failure(awsapi.DeploymentConfigDoesNotExistException,
		"Check the name with list-deployment-configs. No Deployment Configuration found for name: %s", name)
}

func revisionDoesNotExist(application, revision string) error {
	return failure(awsapi.RevisionDoesNotExistException,
		"Application %s has no revision %s; list-application-revisions shows those it has, and an ETag or version that was registered must be given.",
		application, revision)
}

func deploymentDoesNotExist(id string) error {
	return failure(awsapi.DeploymentDoesNotExistException, "Check the id with list-deployments. No deployment found for id: %s", id)
}

// deploymentLimitExceeded names the live deployment in single quotes, where deployment tools look for it (service.md 2.6).
func deploymentLimitExceeded(group, live string) error {
	return failure(awsapi.DeploymentLimitExceededException,
		"The Deployment Group '%s' already has an active Deployment '%s'; wait until it has ended, or end it with stop-deployment.", group, live)
}

func deploymentAlreadyCompleted(id string) error {
	return failure(awsapi.DeploymentAlreadyCompletedException,
		"Deployment %s has ended and stays as it is; create a new deployment to change the hosts again.", id)
}

func deploymentNotStarted(id string) error {
	return failure(awsapi.DeploymentNotStartedException, "Deployment %s has not started; ask again in a moment.", id)
}

// notYet refuses a deployment that CodeDeploy can make and this server cannot make yet. No error that CreateDeployment declares
// says so; of all others, this one comes closest, and every client shows it.
func notYet(unsupported *planner.UnsupportedError) error {
	return failure(awsapi.UnsupportedActionForDeploymentTypeException,
		"Settings are stored, but %v. What can be deployed to are on-premises instances, in place and without traffic control.", unsupported)
}

func instanceNotRegistered(name string) error {
	return failure(awsapi.InstanceNotRegisteredException,
		"Check the name with list-on-premises-instances, or register the instance. No on-premises instance found for name: %s", name)
}

// isMissing reports whether the store does not have what was asked for.
func isMissing(err error) bool { return errors.Is(err, store.ErrNotFound) }

// instead replaces one of the store's errors by what the caller is told, and says of any other what was tried.
func instead(err, of, with error, tried string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, of):
		return with
	}
	return fmt.Errorf("%s: %w", tried, err)
}
