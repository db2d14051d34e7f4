"""What .NET solution and project files say, read from their text alone: no SDK, no disk, no evaluation."""
