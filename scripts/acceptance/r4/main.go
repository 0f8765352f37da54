// Replays what the drivers of Tart and Vetu call, in order, with VMs that run. They are Go programs, and so is this: it starts commands,
// reads JSON, waits for pipes and speaks SSH as they do (run-fleet-demand §4, §5; tart-cli §5).
//
//	drivers IMAGE TIMES DIRECTORY
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// What Orchard and Cirrus CLI read of a row; Go matches the keys in any case.
type row struct {
	Name, Source, State string
	Running             bool
}

var vnc = regexp.MustCompile("vnc://.*:(.*)@(.*):([0-9]{1,5})")

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: drivers IMAGE TIMES DIRECTORY")
		os.Exit(64)
	}
	image, directory := os.Args[1], os.Args[3]
	times, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(64)
	}
	drivers := []struct {
		name  string
		drive func(image, directory string) error
	}{
		{"Orchard, vetu", orchardByVetu},
		{"Orchard, tart", orchardByTart},
		{"Packer", packer},
		{"GitLab executor", gitlab},
		{"Cirrus CLI, vetu", cirrusByVetu},
		{"Cirrus CLI, tart", cirrusByTart},
	}
	failed := 0
	for _, driver := range drivers {
		done := 0
		for range times {
			if err := driver.drive(image, directory); err != nil {
				fmt.Printf("%s: %v\n", driver.name, err)
				failed++
				continue
			}
			done++
		}
		fmt.Printf("%s: %d of %d\n", driver.name, done, times)
	}
	fmt.Printf("| R4 | %d of %d runs of the six sequences of the four drivers, by a Go program with golang.org/x/crypto/ssh |\n",
		len(drivers)*times-failed, len(drivers)*times)
	if failed > 0 {
		os.Exit(1)
	}
}

// Runs a command to its end. Like the drivers, its error is the first line of stderr that is not empty, else of stdout.
func call(words ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, firstLine(stderr.String(), stdout.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

func calls(lines ...[]string) error {
	for _, words := range lines {
		if _, err := call(words...); err != nil {
			return err
		}
	}
	return nil
}

func firstLine(texts ...string) string {
	for _, text := range texts {
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.TrimSpace(line); line != "" {
				return line
			}
		}
	}
	return ""
}

// A `run` under way. Its end is known when its pipes are closed, too: what it leaves behind must not hold them.
type running struct {
	cancel         context.CancelFunc
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	ended          chan error
}

func start(words ...string) (*running, error) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel: cancel, cmd: exec.CommandContext(ctx, words[0], words[1:]...), ended: make(chan error, 1)}
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { r.ended <- r.cmd.Wait() }()
	return r, nil
}

func (r *running) wait(within time.Duration) error {
	select {
	case err := <-r.ended:
		return err
	case <-time.After(within):
		return errors.New("run, or something that it left, still holds its streams")
	}
}

// As Orchard and Cirrus CLI end a VM: a stop whose result is ignored, SIGKILL by the context, and a delete that must succeed.
func (r *running) end(name, id string) error {
	_, _ = call(name, "stop", "--timeout", "5", id)
	r.cancel()
	if err := r.wait(2 * time.Second); err != nil && r.cmd.ProcessState == nil {
		return err
	}
	_, err := call(name, "delete", id)
	return err
}

func list(name string) ([]row, error) {
	text, err := call(name, "list", "--format", "json")
	if err != nil {
		return nil, err
	}
	var rows []row
	return rows, json.Unmarshal([]byte(text), &rows)
}

func expect(name, id, state string, isRunning bool) error {
	rows, err := list(name)
	if err != nil {
		return err
	}
	for _, each := range rows {
		if each.Name == id && each.Source == "local" && each.State == state && each.Running == isRunning {
			return nil
		}
	}
	return fmt.Errorf("%s is not listed as %s: %v", id, state, rows)
}

// Asks until there is an address; both streams together are the answer, as Packer takes it.
func address(words ...string) (string, error) {
	var err error
	for range 10 {
		var out []byte
		if out, err = exec.Command(words[0], words[1:]...).CombinedOutput(); err == nil {
			answer := strings.TrimSpace(string(out))
			if net.ParseIP(answer) == nil {
				return "", fmt.Errorf("%q is no address", answer)
			}
			return answer, nil
		}
	}
	return "", err
}

// A login shell by password, whatever the host key is, with what Orchard writes to it.
func script(address, text string) (string, error) {
	config := &ssh.ClientConfig{
		User: "admin", Auth: []ssh.AuthMethod{ssh.Password("admin")}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	}
	var err error
	for attempt := range 10 {
		time.Sleep(time.Duration(attempt) * 500 * time.Millisecond)
		var connection net.Conn
		if connection, err = net.DialTimeout("tcp", net.JoinHostPort(address, "22"), 5*time.Second); err != nil {
			continue
		}
		var client ssh.Conn
		var channels <-chan ssh.NewChannel
		var requests <-chan *ssh.Request
		if client, channels, requests, err = ssh.NewClientConn(connection, address, config); err != nil {
			connection.Close()
			continue
		}
		defer client.Close()
		return shell(ssh.NewClient(client, channels, requests), text)
	}
	return "", err
}

func shell(client *ssh.Client, text string) (string, error) {
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	defer session.Close()
	var stdout bytes.Buffer
	session.Stdout = &stdout
	session.Stdin = strings.NewReader("set -e\nexport KEY=\"a value\"\n" + text + "\nexit\n")
	if err := session.Shell(); err != nil {
		return "", err
	}
	err = session.Wait()
	return stdout.String(), err
}

func says(address, text, expected string) error {
	out, err := script(address, text)
	if err != nil {
		return err
	}
	if !strings.Contains(out, expected) {
		return fmt.Errorf("the guest said %q", out)
	}
	return nil
}

const orchardID = "orchard-linux-5b8fd1a4-6c1c-4d2b-9a3e-2f0d4c9d7e11-0"

func orchardByVetu(image, _ string) error {
	if _, err := list("vetu"); err != nil {
		return err
	}
	if err := calls([]string{"vetu", "pull", image}, []string{"vetu", "clone", image, orchardID}, []string{"vetu", "fqn", image},
		[]string{"vetu", "set", "--memory", "256", orchardID}, []string{"vetu", "set", "--cpu", "1", orchardID},
		[]string{"vetu", "set", "--disk-size", "1", orchardID}); err != nil {
		return err
	}
	r, err := start("vetu", "run", orchardID)
	if err != nil {
		return err
	}
	defer r.cancel()
	ip, err := address("vetu", "ip", "--wait", "60", orchardID)
	if err != nil {
		return err
	}
	if err := expect("vetu", orchardID, "running", true); err != nil {
		return err
	}
	if err := says(ip, "seq 1 1000\necho \"$KEY\"", "\n1000\na value\n"); err != nil {
		return err
	}
	var failure *ssh.ExitError
	if _, err := script(ip, "exit 123"); !errors.As(err, &failure) || failure.ExitStatus() != 123 {
		return fmt.Errorf("exit 123 came as %v", err)
	}
	return r.end("vetu", orchardID)
}

func orchardByTart(image, _ string) error {
	if err := calls([]string{"tart", "pull", image}, []string{"tart", "clone", image, orchardID}, []string{"tart", "fqn", image},
		[]string{"tart", "set", "--memory", "256", orchardID}, []string{"tart", "set", "--random-mac", orchardID},
		[]string{"tart", "set", "--random-serial", orchardID}); err != nil {
		return err
	}
	_, err := call("tart", "run", "--net-softnet", "--net-softnet-allow", "10.0.0.0/8", "--no-graphics", orchardID)
	if err == nil || !strings.Contains(err.Error(), "Softnet") {
		return fmt.Errorf("isolation that is not there: %v", err)
	}
	r, err := start("tart", "run", "--no-graphics", "--nested", orchardID)
	if err != nil {
		return err
	}
	defer func() { r.cancel() }()
	if _, err := address("tart", "ip", "--wait", "60", "--resolver", "arp", orchardID); err != nil {
		return err
	}
	if err := calls([]string{"tart", "suspend", orchardID}); err != nil {
		return err
	}
	if err := r.wait(30 * time.Second); err != nil {
		return err
	}
	if err := expect("tart", orchardID, "suspended", false); err != nil {
		return err
	}
	if r, err = start("tart", "run", "--no-graphics", "--nested", orchardID); err != nil {
		return err
	}
	ip, err := address("tart", "ip", "--wait", "60", orchardID)
	if err != nil {
		return err
	}
	if err := says(ip, "uname -s", "Linux\n"); err != nil {
		return err
	}
	return r.end("tart", orchardID)
}

func packer(image, directory string) error {
	iso := filepath.Join(directory, "cloud-init.iso")
	if err := os.WriteFile(iso, make([]byte, 1<<20), 0o600); err != nil {
		return err
	}
	os.Setenv("CI", "true")
	defer os.Unsetenv("CI")
	if err := calls([]string{"tart", "pull", image, "--insecure", "--concurrency", "4"},
		[]string{"tart", "clone", image, "built", "--insecure", "--concurrency", "4"},
		[]string{"tart", "set", "built", "--cpu", "1", "--memory", "256", "--display", "800x600"},
		[]string{"tart", "set", "--disk-size", "1", "built"}); err != nil {
		return err
	}
	log := filepath.Join(directory, "packer.log")
	r, err := start("sh", "-c", `exec tart "$@" >"$0"`, log, "run", "built", "--graphics", "--vnc-experimental", "--disk="+iso+":ro")
	if err != nil {
		return err
	}
	defer r.cancel()
	found := false
	for range 30 {
		printed, _ := os.ReadFile(log)
		if found = len(vnc.FindSubmatch(printed)) == 4; found {
			break
		}
		time.Sleep(time.Second)
	}
	if !found {
		return errors.New("no VNC server within 30 seconds")
	}
	for _, resolver := range [][]string{{}, {"--resolver", "agent"}, {"--resolver", "arp"}} {
		_, _ = call(append(append([]string{"tart", "ip", "--wait", "1"}, resolver...), "built")...)
	}
	ip, err := address("tart", "ip", "--wait", "120", "built")
	if err != nil {
		return err
	}
	if err := says(ip, "wc -c </dev/vdb", "1048576\n"); err != nil {
		return err
	}
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	if err := r.wait(40 * time.Second); err != nil {
		return err
	}
	printed, _ := os.ReadFile(log)
	if !strings.Contains(string(printed), "Stopping VM...") || !strings.Contains(string(printed), "guest has stopped the virtual machine") {
		return fmt.Errorf("it printed %q", printed)
	}
	return calls([]string{"tart", "delete", "built"})
}

func gitlab(image, directory string) error {
	const id = "gitlab-4711"
	if err := calls([]string{"tart", "pull", image, "--insecure"}, []string{"tart", "clone", image, id, "--insecure"},
		[]string{"tart", "set", "--cpu", "1", id}, []string{"tart", "set", "--memory", "256", id},
		[]string{"tart", "set", "--random-mac", id}, []string{"tart", "set", "--display", "800x600", id}); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(directory, "vm.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("tart", "run", "--root-disk-opts", "sync=none", "--no-graphics", "--nested", id)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer cmd.Process.Kill()
	go func() { _ = cmd.Wait() }()
	ip, err := address("tart", "ip", "--wait", "60", "--resolver", "dhcp", id)
	if err != nil {
		return err
	}
	text, err := call("tart", "get", "--format", "json", id)
	if err != nil {
		return err
	}
	var info struct{ OS string }
	if err := json.Unmarshal([]byte(text), &info); err != nil || info.OS != "linux" {
		return fmt.Errorf("get says %q: %v", text, err)
	}
	if err := says(ip, "echo the job", "the job\n"); err != nil {
		return err
	}
	return calls([]string{"tart", "stop", id}, []string{"tart", "delete", id})
}

const cirrusID = "cirrus-cli-worker1-0f8fad5b-d9cb-469f-a165-70867728950e"

func cirrusByVetu(image, _ string) error {
	return cirrus("vetu", image, []string{"vetu", "run", "--net-host", "--net-host-mtu", "1400", cirrusID}, "cat /sys/class/net/eth0/mtu", "1400\n")
}

func cirrusByTart(image, _ string) error {
	os.Setenv("TART_NO_AUTO_PRUNE", "")
	defer os.Unsetenv("TART_NO_AUTO_PRUNE")
	return cirrus("tart", image, []string{"tart", "run", "--no-graphics", "--no-clipboard", "--no-audio", "--root-disk-opts", "sync=none", "--nested", cirrusID},
		"echo $((6 * 7))", "42\n")
}

func cirrus(name, image string, run []string, text, expected string) error {
	if _, err := call(name, "list", "--quiet"); err != nil {
		return err
	}
	if err := calls([]string{name, "pull", image}, []string{name, "clone", image, cirrusID}, []string{name, "set", cirrusID, "--cpu", "1"},
		[]string{name, "set", cirrusID, "--memory", "256"}, []string{name, "set", cirrusID, "--disk-size", "1"}); err != nil {
		return err
	}
	r, err := start(run...)
	if err != nil {
		return err
	}
	defer r.cancel()
	ip, err := address(name, "ip", "--wait", "30", cirrusID)
	if err != nil {
		return err
	}
	if err := says(ip, text, expected); err != nil {
		return err
	}
	return r.end(name, cirrusID)
}
