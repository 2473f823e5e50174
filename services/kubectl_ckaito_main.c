/* A kubectl plugin: `kubectl ckaito ...` finds it on the PATH. */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv, stdin, stdout, stderr);
}
