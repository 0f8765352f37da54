// Plays Tart's guest agent by Go's own gRPC library, which the real one uses, and calls one: for scripts/acceptance/r10.mjs.
//
//	agent serve SOCKET ADDRESS
//	agent call SOCKET
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// raw hands over the bytes of messages: what they mean is written down here once more, independently of the command.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *(v.(*[]byte)), nil }
func (raw) Unmarshal(data []byte, v any) error {
	*(v.(*[]byte)) = append([]byte(nil), data...)
	return nil
}
func (raw) Name() string { return "proto" }

type field struct {
	bytes  []byte
	number uint64
}

func fields(message []byte) map[protowire.Number][]field {
	found := map[protowire.Number][]field{}
	for len(message) > 0 {
		number, kind, length := protowire.ConsumeTag(message)
		if length < 0 {
			panic("no message")
		}
		message = message[length:]
		switch kind {
		case protowire.VarintType:
			value, length := protowire.ConsumeVarint(message)
			found[number] = append(found[number], field{number: value})
			message = message[length:]
		case protowire.BytesType:
			value, length := protowire.ConsumeBytes(message)
			found[number] = append(found[number], field{bytes: value})
			message = message[length:]
		default:
			panic("no kind of field that is known")
		}
	}
	return found
}

func bytesField(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

func numberField(number protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), value)
}

func first(all []field) field {
	if len(all) == 0 {
		return field{}
	}
	return all[len(all)-1]
}

func serve(socket, address string) {
	listener, err := net.Listen("unix", socket)
	check(err)
	server := grpc.NewServer(grpc.ForceServerCodec(raw{}))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "Agent",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "ResolveIP", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var request []byte
			if err := decode(&request); err != nil {
				return nil, err
			}
			answer := bytesField(1, []byte(address))
			return &answer, nil
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "Exec", ServerStreams: true, ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
			return run(stream)
		}}},
	}, nil)
	fmt.Println("listening")
	check(server.Serve(listener))
}

func receive(stream interface{ RecvMsg(any) error }) (map[protowire.Number][]field, error) {
	var message []byte
	if err := stream.RecvMsg(&message); err != nil {
		return nil, err
	}
	return fields(message), nil
}

func run(stream grpc.ServerStream) error {
	request, err := receive(stream)
	if err != nil {
		return err
	}
	if len(request[1]) == 0 {
		return status.Error(codes.InvalidArgument, "the command comes first")
	}
	said := fields(first(request[1]).bytes)
	args := []string{}
	for _, arg := range said[2] {
		args = append(args, string(arg.bytes))
	}
	command := exec.CommandContext(stream.Context(), string(first(said[1]).bytes), args...)
	// A stream takes one sender at a time.
	var sending sync.Mutex
	pump := func(number protowire.Number, from io.Reader, done chan<- struct{}) {
		buffer := make([]byte, 32*1024)
		for {
			length, err := from.Read(buffer)
			if length > 0 {
				response := bytesField(number, bytesField(1, append([]byte(nil), buffer[:length]...)))
				sending.Lock()
				err := stream.SendMsg(&response)
				sending.Unlock()
				if err != nil {
					break
				}
			}
			if err != nil {
				break
			}
		}
		done <- struct{}{}
	}
	done := make(chan struct{}, 2)
	pumps := 1
	var input io.WriteCloser
	var terminal *os.File
	if first(said[4]).number != 0 {
		var slave *os.File
		terminal, slave = openTerminal()
		defer terminal.Close()
		resize(terminal, fields(first(said[5]).bytes))
		command.Stdin, command.Stdout, command.Stderr = slave, slave, slave
		command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := command.Start(); err != nil {
			return status.Error(codes.NotFound, err.Error())
		}
		slave.Close()
		input = terminal
		go pump(2, terminal, done)
	} else {
		out, err := command.StdoutPipe()
		check(err)
		complaints, err := command.StderrPipe()
		check(err)
		if first(said[3]).number != 0 {
			input, err = command.StdinPipe()
			check(err)
		}
		if err := command.Start(); err != nil {
			return status.Error(codes.NotFound, err.Error())
		}
		pumps = 2
		go pump(2, out, done)
		go pump(3, complaints, done)
	}
	go listen(stream, input, terminal)
	for range pumps {
		<-done
	}
	code := 0
	if err := command.Wait(); err != nil {
		code = -1
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			code = exit.ExitCode()
		}
	}
	response := bytesField(1, numberField(1, uint64(int64(int32(code)))))
	return stream.SendMsg(&response)
}

func listen(stream grpc.ServerStream, input io.WriteCloser, terminal *os.File) {
	for {
		request, err := receive(stream)
		if err != nil {
			return
		}
		if piece := request[2]; len(piece) > 0 && input != nil {
			data := first(fields(piece[0].bytes)[1]).bytes
			if len(data) > 0 {
				_, _ = input.Write(data)
			} else if terminal == nil {
				input.Close()
			}
		}
		if size := request[3]; len(size) > 0 && terminal != nil {
			resize(terminal, fields(size[0].bytes))
		}
	}
}

func openTerminal() (master, slave *os.File) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	check(err)
	var number, unlocked uint32
	ioctl(master, syscall.TIOCGPTN, unsafe.Pointer(&number))
	ioctl(master, syscall.TIOCSPTLCK, unsafe.Pointer(&unlocked))
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(int(number)), os.O_RDWR|syscall.O_NOCTTY, 0)
	check(err)
	return master, slave
}

func resize(terminal *os.File, size map[protowire.Number][]field) {
	window := [4]uint16{uint16(first(size[1]).number), uint16(first(size[2]).number)}
	ioctl(terminal, syscall.TIOCSWINSZ, unsafe.Pointer(&window))
}

func ioctl(file *os.File, request uintptr, argument unsafe.Pointer) {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), request, uintptr(argument)); errno != 0 {
		panic(errno)
	}
}

// call does what the programs that drive Tart do at a control socket, and prints a line for each.
func call(socket string) {
	connection, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	check(err)
	defer connection.Close()
	request, answer := []byte{}, []byte{}
	check(connection.Invoke(context.Background(), "/Agent/ResolveIP", &request, &answer))
	fmt.Println("address", string(first(fields(answer)[1]).bytes))
	for code := range 256 {
		got, _, err := execute(connection, []string{"sh", "-c", "exit " + strconv.Itoa(code)}, nil, false)
		check(err)
		if got != code {
			panic(fmt.Sprint("exit code ", got, " instead of ", code))
		}
	}
	fmt.Println("codes 256")
	input := make([]byte, 1_000_003)
	for at := range input {
		input[at] = byte(at * at >> 3)
	}
	_, output, err := execute(connection, []string{"cat"}, input, false)
	check(err)
	same := sha256.Sum256(input) == sha256.Sum256(output)
	sum := sha256.Sum256(output)
	fmt.Println("bytes", same, hex.EncodeToString(sum[:4]))
	_, _, err = execute(connection, []string{"sh"}, nil, true)
	fmt.Println("terminal", status.Code(err))
	err = connection.Invoke(context.Background(), "/Agent/Unheard", &request, &answer)
	fmt.Println("unheard", status.Code(err))
}

func execute(connection *grpc.ClientConn, words []string, input []byte, tty bool) (int, []byte, error) {
	context, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := connection.NewStream(context, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/Agent/Exec")
	check(err)
	command := bytesField(1, []byte(words[0]))
	for _, arg := range words[1:] {
		command = append(command, bytesField(2, []byte(arg))...)
	}
	if input != nil {
		command = append(command, numberField(3, 1)...)
	}
	if tty {
		command = append(command, numberField(4, 1)...)
	}
	message := bytesField(1, command)
	check(stream.SendMsg(&message))
	for at := 0; input != nil && at <= len(input); at += 64 * 1024 {
		piece := input[at:min(len(input), at+64*1024)]
		if len(piece) == 0 {
			break
		}
		message := bytesField(2, bytesField(1, piece))
		check(stream.SendMsg(&message))
	}
	if input != nil {
		message := bytesField(2, nil)
		check(stream.SendMsg(&message))
	}
	var output []byte
	for {
		response, err := receive(stream)
		if err != nil {
			return -1, output, err
		}
		for _, piece := range response[2] {
			output = append(output, first(fields(piece.bytes)[1]).bytes...)
		}
		if exit := response[1]; len(exit) > 0 {
			return int(int32(first(fields(exit[0].bytes)[1]).number)), output, nil
		}
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	switch os.Args[1] {
	case "serve":
		serve(os.Args[2], os.Args[3])
	case "call":
		call(os.Args[2])
	}
}
