package cli

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"

	"grapnel/internal/awsapi"
)

// Registration is what a host needs to know of itself.
type Registration struct {
	Region, ARN, AccessKeyID, SecretAccessKey string
}

// OnPremisesFile is the text of the host's codedeploy.onpremises.yml (agent.md 3.1).
func (r Registration) OnPremisesFile() string {
	return fmt.Sprintf("region: %s\niam_user_arn: %s\naws_access_key_id: %s\naws_secret_access_key: %s\n",
		r.Region, r.ARN, r.AccessKeyID, r.SecretAccessKey)
}

// RegisterHost does what `aws deploy register` does (service.md 9): it makes a user with an access key for the host,
// registers it, and tags it.
func RegisterHost(ctx context.Context, endpoint string, root aws.Credentials, name string, tags map[string]string) (Registration, error) {
	c := &client{endpoint: endpoint, region: "us-east-1", http: http.DefaultClient, creds: root}
	return c.registerHost(ctx, name, tags)
}

func (c *client) registerHost(ctx context.Context, name string, tags map[string]string) (Registration, error) {
	var user struct {
		ARN string `xml:"CreateUserResult>User>Arn"`
	}
	if err := c.iam(ctx, &user, "Action", "CreateUser", "Path", "/AWS/CodeDeploy/", "UserName", name); err != nil {
		return Registration{}, err
	}
	var key struct {
		ID     string `xml:"CreateAccessKeyResult>AccessKey>AccessKeyId"`
		Secret string `xml:"CreateAccessKeyResult>AccessKey>SecretAccessKey"`
	}
	if err := c.iam(ctx, &key, "Action", "CreateAccessKey", "UserName", name); err != nil {
		return Registration{}, err
	}
	host := &awsapi.RegisterOnPremisesInstanceInput{InstanceName: &name, IamUserArn: &user.ARN}
	if err := c.call(ctx, "RegisterOnPremisesInstance", host, nil); err != nil {
		return Registration{}, err
	}
	registration := Registration{Region: c.region, ARN: user.ARN, AccessKeyID: key.ID, SecretAccessKey: key.Secret}
	if len(tags) == 0 {
		return registration, nil
	}
	in := &awsapi.AddTagsToOnPremisesInstancesInput{InstanceNames: []string{name}}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		in.Tags = append(in.Tags, awsapi.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	return registration, c.call(ctx, "AddTagsToOnPremisesInstances", in, nil)
}
