// Package awsquery speaks the server's end of the AWS query protocol: the older of AWS's two RPC protocols, in which IAM,
// STS and others are spoken (service.md 9).
//
// A request is POST / with a form as its body: the operation in Action, the version of the API in Version, and the
// operation's parameters. A success is 200 with an XML document named after the operation; a failure is an ErrorResponse,
// whose Code is what clients go by:
//
//	<CreateUserResponse xmlns="...">            <ErrorResponse>
//	  <CreateUserResult>                          <Error>
//	    <User>...</User>                            <Type>Sender</Type>
//	  </CreateUserResult>                           <Code>EntityAlreadyExists</Code>
//	  <ResponseMetadata>                            <Message>...</Message>
//	    <RequestId>...</RequestId>                </Error>
//	  </ResponseMetadata>                         <RequestId>...</RequestId>
//	</CreateUserResponse>                       </ErrorResponse>
package awsquery

const (
	contentType      = "text/xml"
	formType         = "application/x-www-form-urlencoded"
	requestIDHeader  = "X-Amzn-RequestId"
	defaultBodyLimit = 64 << 10
)
