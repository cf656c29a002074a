#!/usr/bin/env bash
# Is what serves what it should be: deploy/bin/verify-deployment.sh [options of verify_deployment]
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

colour=$(remembered active)
version=$(remembered "$colour")
driver_verify "$colour" "${version%%@*}" "$@"
