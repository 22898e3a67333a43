#include "agent/child.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "agent/text.h"

namespace ringagent {
namespace {

constexpr std::size_t kSaidBytesMax = 2000;
constexpr int kCannotRun = 127;

// A file that only who inherits it can read. -1: the system has no room.
int memory_file(const char* name, std::string_view text) {
  const int fd = ::memfd_create(name, MFD_CLOEXEC);
  if (fd < 0) return -1;
  const bool written =
      ::fchmod(fd, 0600) == 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (written) return fd;
  ::close(fd);
  return -1;
}

void close_if_open(int& fd) {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

// Between fork and exec: system calls only.
[[noreturn]] void become(const char* program, char* const* argv, int in, int out, int errors, int options,
                         pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kCannotRun);  // it died before we asked to be told
  for (const int number : {SIGINT, SIGTERM, SIGPIPE}) ::signal(number, SIG_DFL);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  ::dup2(in >= 0 ? in : null, STDIN_FILENO);
  ::dup2(out >= 0 ? out : null, STDOUT_FILENO);
  ::dup2(errors, STDERR_FILENO);
  ::fcntl(options, F_SETFD, 0);
  ::execv(program, argv);
  ::_exit(kCannotRun);
}

}  // namespace

std::string find_program(const std::vector<std::string>& names) {
  const char* path = std::getenv("PATH");
  const std::string_view all = path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin";
  for (const auto& name : names) {
    for (std::size_t at = 0; at <= all.size();) {
      const auto end = std::min(all.find(':', at), all.size());
      std::string file = std::string(all.substr(at, end - at)) + "/" + name;
      if (::access(file.c_str(), X_OK) == 0) return file;
      at = end + 1;
    }
  }
  return {};
}

Result<Child> Child::start(const Spec& spec) {
  int errors = memory_file("errors", "");
  int options = memory_file("options", spec.options_file);
  if (errors < 0 || options < 0) {
    const std::string why = std::strerror(errno);
    close_if_open(errors);
    close_if_open(options);
    return fail("no memory for the options of " + spec.program + ": " + why);
  }
  std::vector<std::string> words = {spec.program, "--defaults-file=/proc/self/fd/" + std::to_string(options)};
  words.insert(words.end(), spec.arguments.begin(), spec.arguments.end());
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) become(spec.program.c_str(), argv.data(), spec.in, spec.out, errors, options, parent);
  const std::string why = std::strerror(errno);
  close_if_open(options);
  if (pid > 0) return Child(pid, errors);
  close_if_open(errors);
  return fail("cannot start " + spec.program + ": " + why);
}

Child::Child(Child&& other) noexcept : pid_(other.pid_), errors_(other.errors_) {
  other.pid_ = -1;
  other.errors_ = -1;
}

Child::~Child() {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
  wait();
  close_if_open(errors_);
}

int Child::wait() {
  if (pid_ <= 0) return 0;
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string Child::said() const {
  struct stat st {};
  if (errors_ < 0 || ::fstat(errors_, &st) != 0) return {};
  const auto size = static_cast<std::size_t>(st.st_size);
  std::string text(std::min(size, kSaidBytesMax), '\0');
  const auto got = ::pread(errors_, text.data(), text.size(), static_cast<off_t>(size - text.size()));
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  while (text.ends_with('\n')) text.pop_back();
  return printable(text);
}

Pipe::Pipe() {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return;
  read_end_ = ends[0];
  write_end_ = ends[1];
}

Pipe::~Pipe() {
  close_read();
  close_write();
}

void Pipe::close_read() {
  close_if_open(read_end_);
}

void Pipe::close_write() {
  close_if_open(write_end_);
}

}  // namespace ringagent
