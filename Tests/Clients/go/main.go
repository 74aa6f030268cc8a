// Tests a gateway by the stock Go client of ttrpc.
//
//	client HOST:PORT DSN
//
// Prints a line for every test and at last "N passed, N failed".
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/gogo/protobuf/proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Fewer tests than this means that some were lost, not that all is well.
const testsLeast = 15

const (
	healthService  = "grpc.health.v1.Health"
	catalogService = "sluice.v1.CatalogService"
	entityService  = "sluice.v1.EntityService"

	serving     = 1
	typeNumber  = 1
	typeLabel   = 4
	levelStrong = 1
	primary     = 1
)

var (
	address string
	dsn     string
	passed  int
	failed  int
)

// run runs the body of a test; a panic or a hang is an error like any other.
func run(body func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if trouble := recover(); trouble != nil {
				done <- fmt.Errorf("panic: %v", trouble)
			}
		}()
		done <- body()
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(60 * time.Second):
		return errors.New("the test took longer than 60 s")
	}
}

// test runs one test and counts it.
func test(claim string, body func() error) {
	err := run(body)
	if err == nil {
		passed++
		fmt.Printf("ok      %s\n", claim)
	} else {
		failed++
		fmt.Printf("FAILED  %s\n        %v\n", claim, err)
	}
}

func connect(options ...ttrpc.ClientOpts) *ttrpc.Client {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		panic(err)
	}
	return ttrpc.NewClient(connection, options...)
}

func seconds(count int) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Duration(count)*time.Second)
}

func check(client *ttrpc.Client, service string) (int32, error) {
	ctx, cancel := seconds(10)
	defer cancel()
	answer := &healthCheckResponse{}
	err := client.Call(ctx, healthService, "Check", &healthCheckRequest{Service: service}, answer)
	return answer.Status, err
}

func expectServing(client *ttrpc.Client) error {
	status, err := check(client, "")
	if err == nil && status != serving {
		err = fmt.Errorf("health status %d", status)
	}
	return err
}

func resolve(client *ttrpc.Client, keys ...string) ([]int64, error) {
	ctx, cancel := seconds(30)
	defer cancel()
	request, answer := &resolveEntitiesRequest{}, &resolveEntitiesResponse{}
	for _, key := range keys {
		request.ExternalKey = append(request.ExternalKey, []byte(key))
	}
	err := client.Call(ctx, catalogService, "ResolveEntities", request, answer)
	if err == nil && len(answer.EntityID) != len(keys) {
		err = fmt.Errorf("%d ids for %d keys", len(answer.EntityID), len(keys))
	}
	return answer.EntityID, err
}

var uniqueCount int
var uniqueLock sync.Mutex

func unique() string {
	uniqueLock.Lock()
	defer uniqueLock.Unlock()
	uniqueCount++
	return fmt.Sprintf("go-%d-%d", time.Now().UnixNano(), uniqueCount)
}

// details are the google.rpc details of an error.
type details struct {
	info  *errorInfo
	retry *retryInfo
	bad   *badRequest
}

// expectError checks an error's code and reason, and returns its details.
func expectError(err error, code codes.Code, reason string) (details, error) {
	found := details{}
	if err == nil {
		return found, errors.New("an error was expected")
	}
	state, ok := status.FromError(err)
	if !ok {
		return found, fmt.Errorf("not a status: %w", err)
	}
	if state.Code() != code {
		return found, fmt.Errorf("code %v (%s), expected %v", state.Code(), state.Message(), code)
	}
	for _, detail := range state.Proto().Details {
		var message proto.Message
		switch detail.TypeUrl {
		case "type.googleapis.com/google.rpc.ErrorInfo":
			found.info = &errorInfo{}
			message = found.info
		case "type.googleapis.com/google.rpc.RetryInfo":
			found.retry = &retryInfo{}
			message = found.retry
		case "type.googleapis.com/google.rpc.BadRequest":
			found.bad = &badRequest{}
			message = found.bad
		default:
			return found, fmt.Errorf("unknown detail %q", detail.TypeUrl)
		}
		if err := proto.Unmarshal(detail.Value, message); err != nil {
			return found, fmt.Errorf("detail %s: %w", detail.TypeUrl, err)
		}
	}
	if found.info == nil || found.info.Domain != "sluice" || found.info.Reason == "" {
		return found, fmt.Errorf("ErrorInfo is %v", found.info)
	}
	if reason != "" && found.info.Reason != reason {
		return found, fmt.Errorf("reason %s, expected %s", found.info.Reason, reason)
	}
	return found, nil
}

// locked holds a lock on a table while body runs, so that calls that need it wait.
func locked(table string, body func(letGo func()) error) error {
	command := exec.Command("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", dsn)
	input, err := command.StdinPipe()
	if err != nil {
		return err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	var once sync.Once
	letGo := func() { once.Do(func() { input.Close(); command.Wait() }) }
	defer letGo()
	fmt.Fprintf(input, "BEGIN; LOCK TABLE %s; SELECT 'locked';\n", table)
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "locked" {
		return fmt.Errorf("the lock was not granted: %q, %v", line, err)
	}
	return body(letGo)
}

func main() {
	if len(os.Args) != 3 {
		fmt.Println("usage: client HOST:PORT DSN")
		fmt.Println("0 passed, 1 failed")
		os.Exit(1)
	}
	address, dsn = os.Args[1], os.Args[2]
	runTests()
	if passed+failed < testsLeast {
		fmt.Printf("FAILED  only %d tests ran, %d were expected\n", passed+failed, testsLeast)
		failed++
	}
	// The canaries: what must fail is seen to fail.
	for _, canary := range []func() error{
		func() error { panic("canary") },
		func() error { _, err := expectError(nil, codes.NotFound, ""); return err },
		func() error { _, err := check(connect(), "no.such.Service"); return err },
	} {
		if run(canary) == nil {
			fmt.Println("FAILED  a test that must fail was not seen to fail")
			failed++
		}
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}
