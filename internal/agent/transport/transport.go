// Package transport makes the HTTP client of the agent: proxy, certificate authorities and time limits as configured
// (agent.md 2, 3.4).
package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"grapnel/internal/agent/config"
)

const connectTimeout = 15 * time.Second

// New returns the client for the command service and for the sources of bundles. Each call has a time limit of its own.
func New(cfg config.Config) (*http.Client, error) {
	roots, err := trustedRoots(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	proxy, err := proxyOf(cfg.ProxyURI)
	if err != nil {
		return nil, err
	}
	return &http.Client{CheckRedirect: stay, Transport: &http.Transport{
		Proxy:                 proxy,
		DialContext:           (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   connectTimeout,
		ResponseHeaderTimeout: cfg.HTTPReadTimeout,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   4,
	}}, nil
}

// stay keeps a signed request, and with it the session token in its headers, where it was sent.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// proxyOf returns the choice of proxy: the one of the configuration for everything but this machine itself, else the one of
// the environment.
func proxyOf(uri string) (func(*http.Request) (*url.URL, error), error) {
	if uri == "" {
		return http.ProxyFromEnvironment, nil
	}
	address, err := url.Parse(uri)
	if err != nil || address.Host == "" {
		return nil, errors.New("proxy_uri is no URL such as http://proxy:3128") // without it: it may hold a password
	}
	return func(r *http.Request) (*url.URL, error) {
		if config.IsLoopback(r.URL.Hostname()) {
			return nil, nil
		}
		return address, nil
	}, nil
}

// trustedRoots are the system's certificate authorities, those named by the variables that stock agents read (agent.md 2),
// and the file of the configuration.
func trustedRoots(caFile string) (*x509.CertPool, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a system without any: what is named below may be enough
	}
	files := []string{os.Getenv("SSL_CERT_FILE"), os.Getenv("AWS_SSL_CA_BUNDLE"), caFile}
	if dir := os.Getenv("AWS_SSL_CA_DIRECTORY"); dir != "" {
		inDir, err := filepath.Glob(filepath.Join(dir, "*.pem"))
		if err != nil {
			return nil, fmt.Errorf("AWS_SSL_CA_DIRECTORY: %w", err)
		}
		files = append(files, inDir...)
	}
	for _, file := range files {
		if file == "" {
			continue
		}
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("certificate authorities: %w", err)
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("certificate authorities: %s holds no certificate in PEM form", file)
		}
	}
	return roots, nil
}
