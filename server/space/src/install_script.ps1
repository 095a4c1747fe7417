<#
.SYNOPSIS
Prepares the machine that runs Salto Space for the face server of the site.

.DESCRIPTION
Made by "cardea space install-script" for one site. Its tests parse it and check what it is made
of; they have not run it on Windows. Read it before you run it, and try -WhatIf first.

Run it in Windows PowerShell as an administrator. It
  1. trusts the site's certificate authority, so that Space trusts the face server,
  2. turns sleep and power saving off while the machine is plugged in,
  3. checks that Space answers on HTTPS and that SHIP takes the key, which it asks for,
  4. prints what to enter in the Face recognition tab of General Options.
It may be run again at any time. It stops at the first error. What it changed, it notes in
ProgramData\Cardea\space-install.json, and -Uninstall undoes that.

.PARAMETER Uninstall
Undo what this script changed, and nothing else.

.PARAMETER WhatIf
Say what would be done, and do nothing.

.EXAMPLE
.\space-install.ps1 -WhatIf

.EXAMPLE
.\space-install.ps1

.EXAMPLE
.\space-install.ps1 -Uninstall
#>
#Requires -Version 5.1
#Requires -PSEdition Desktop
#Requires -RunAsAdministrator
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [switch] $Uninstall
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$Site = @@SITE@@
$ServerAddress = @@SERVER_ADDRESS@@
$ServerPort = @@SERVER_PORT@@
$SpaceHost = @@SPACE_HOST@@
$SpacePort = @@SPACE_PORT@@
# SHA-256 of Space's certificate, when the face server is set to know it by that; else empty.
$SpaceFingerprint = @@FINGERPRINT@@
$CaBase64 = @@CA@@

$StateFolder = Join-Path $env:ProgramData 'Cardea'
$StateFile = Join-Path $StateFolder 'space-install.json'
$TimeoutMs = 10000

# Group, setting, and the value that saves no power.
$PowerSettings = @(
    @{ Group = 'SUB_SLEEP'; Setting = 'STANDBYIDLE'; Wanted = 0; Words = 'sleep' },
    @{ Group = 'SUB_SLEEP'; Setting = 'HIBERNATEIDLE'; Wanted = 0; Words = 'hibernation' },
    @{ Group = 'SUB_DISK'; Setting = 'DISKIDLE'; Wanted = 0; Words = 'disk power saving' },
    @{ Group = 'SUB_PCIEXPRESS'; Setting = 'ASPM'; Wanted = 0; Words = 'bus power saving' }
)

function Read-State {
    # The authorities that this script trusted, in base64; the power settings as they were.
    $state = @{ Authorities = @(); Power = @{} }
    if (Test-Path -LiteralPath $StateFile) {
        $read = Get-Content -LiteralPath $StateFile -Raw | ConvertFrom-Json
        $state.Authorities = @($read.Authorities)
        foreach ($property in $read.Power.PSObject.Properties) {
            $state.Power[$property.Name] = [int64] $property.Value
        }
    }
    return $state
}

function Write-State {
    param([hashtable] $State)
    if (-not (Test-Path -LiteralPath $StateFolder)) {
        New-Item -ItemType Directory -Path $StateFolder | Out-Null
    }
    # Written beside and moved, so that an interruption leaves one whole file.
    $beside = $StateFile + '.new'
    $State | ConvertTo-Json | Set-Content -LiteralPath $beside -Encoding UTF8
    Move-Item -LiteralPath $beside -Destination $StateFile -Force
}

function Open-RootStore {
    $store = New-Object System.Security.Cryptography.X509Certificates.X509Store('Root', 'LocalMachine')
    $store.Open('ReadWrite')
    return $store
}

function Install-Ca {
    param([hashtable] $State)
    $bytes = [Convert]::FromBase64String($CaBase64)
    $ca = New-Object System.Security.Cryptography.X509Certificates.X509Certificate2(, $bytes)
    $store = Open-RootStore
    try {
        if ($store.Certificates.Contains($ca)) {
            Write-Host 'The site''s certificate authority is trusted already.'
            return
        }
        if ($PSCmdlet.ShouldProcess($ca.Subject, 'Trust this certificate authority on this machine')) {
            $State.Authorities = @($State.Authorities) + $CaBase64
            Write-State $State
            $store.Add($ca)
            Write-Host "Trusted the site's certificate authority: $($ca.Subject)"
        }
    }
    finally {
        $store.Close()
    }
}

function Uninstall-Ca {
    param([hashtable] $State)
    if (@($State.Authorities).Count -eq 0) {
        Write-Host 'This script trusted no certificate authority that was not trusted before.'
        return
    }
    $store = Open-RootStore
    try {
        foreach ($base64 in $State.Authorities) {
            $bytes = [Convert]::FromBase64String($base64)
            $ca = New-Object System.Security.Cryptography.X509Certificates.X509Certificate2(, $bytes)
            if ($PSCmdlet.ShouldProcess($ca.Subject, 'Trust this certificate authority no longer')) {
                $store.Remove($ca)
                Write-Host "Removed the site's certificate authority: $($ca.Subject)"
            }
        }
    }
    finally {
        $store.Close()
    }
}

# The value while plugged in; nothing when this machine has no such setting.
function Get-PowerValue {
    param([string] $Group, [string] $Setting)
    # With 'Stop', Windows PowerShell takes a line on standard error for an error of its own.
    $ErrorActionPreference = 'Continue'
    $lines = & powercfg.exe /query SCHEME_CURRENT $Group $Setting 2>$null
    if ($LASTEXITCODE -ne 0) {
        return $null
    }
    # In whatever language: the last two numbers are the values plugged in and on battery.
    $numbers = [regex]::Matches(($lines -join "`n"), '0x[0-9a-fA-F]{8}')
    if ($numbers.Count -lt 2) {
        return $null
    }
    return [Convert]::ToInt64($numbers[$numbers.Count - 2].Value, 16)
}

function Set-PowerValue {
    param([string] $Group, [string] $Setting, [int64] $Value)
    & powercfg.exe /setacvalueindex SCHEME_CURRENT $Group $Setting $Value
    if ($LASTEXITCODE -ne 0) {
        throw "powercfg cannot set $Group $Setting (exit code $LASTEXITCODE)."
    }
    & powercfg.exe /setactive SCHEME_CURRENT
    if ($LASTEXITCODE -ne 0) {
        throw "powercfg cannot apply the power scheme (exit code $LASTEXITCODE)."
    }
}

function Disable-PowerSaving {
    param([hashtable] $State)
    foreach ($item in $PowerSettings) {
        $name = $item.Group + ' ' + $item.Setting
        $value = Get-PowerValue -Group $item.Group -Setting $item.Setting
        if ($null -eq $value) {
            Write-Host "This machine has no setting for $($item.Words)."
        }
        elseif ($value -eq $item.Wanted) {
            Write-Host "While plugged in, $($item.Words) is off already."
        }
        elseif ($PSCmdlet.ShouldProcess($item.Words, 'Turn off while plugged in')) {
            if (-not $State.Power.ContainsKey($name)) {
                $State.Power[$name] = $value
                Write-State $State
            }
            Set-PowerValue -Group $item.Group -Setting $item.Setting -Value $item.Wanted
            Write-Host "Turned $($item.Words) off while plugged in."
        }
    }
}

function Restore-PowerSaving {
    param([hashtable] $State)
    foreach ($item in $PowerSettings) {
        $name = $item.Group + ' ' + $item.Setting
        if (-not $State.Power.ContainsKey($name)) {
            continue
        }
        if ($PSCmdlet.ShouldProcess($item.Words, 'Set as it was before')) {
            Set-PowerValue -Group $item.Group -Setting $item.Setting -Value $State.Power[$name]
            Write-Host "Set $($item.Words) as it was before."
        }
    }
}

function Get-Sha256 {
    param([byte[]] $Bytes)
    $hash = [System.Security.Cryptography.SHA256]::Create()
    try {
        return [BitConverter]::ToString($hash.ComputeHash($Bytes)).Replace('-', ':')
    }
    finally {
        $hash.Dispose()
    }
}

# Asks Space for GetInfo with the SHIP key. The key goes out only after Space's certificate was
# checked: against the fingerprint where there is one, else as Windows checks certificates.
function Test-Ship {
    param([System.Security.SecureString] $Key)
    $client = New-Object System.Net.Sockets.TcpClient
    $stream = $null
    try {
        $client.ReceiveTimeout = $TimeoutMs
        $client.SendTimeout = $TimeoutMs
        if (-not $client.ConnectAsync($SpaceHost, $SpacePort).Wait($TimeoutMs)) {
            throw "Space does not answer at ${SpaceHost}:$SpacePort."
        }
        $script:ShownFingerprint = ''
        $check = [System.Net.Security.RemoteCertificateValidationCallback] {
            param($origin, $certificate, $chain, $problems)
            $script:ShownFingerprint = Get-Sha256 -Bytes $certificate.GetRawCertData()
            if ($script:SpaceFingerprint -ne '') {
                return $script:ShownFingerprint -eq $script:SpaceFingerprint
            }
            return $problems -eq [System.Net.Security.SslPolicyErrors]::None
        }
        $stream = New-Object System.Net.Security.SslStream($client.GetStream(), $false, $check)
        try {
            $tls12 = [System.Security.Authentication.SslProtocols]::Tls12
            $stream.AuthenticateAsClient($SpaceHost, $null, $tls12, $false)
        }
        catch {
            throw ("Space's certificate is not trusted, or Space does not speak HTTPS at " +
                "${SpaceHost}:$SpacePort. SHA-256 of the certificate shown: " +
                "$($script:ShownFingerprint). $($_.Exception.Message)")
        }
        $answer = Send-GetInfo -Stream $stream -Key $Key
    }
    finally {
        if ($null -ne $stream) {
            $stream.Dispose()
        }
        $client.Close()
    }
    if ($answer -match '^HTTP/1\.[01] 401 ') {
        throw 'Space refuses the SHIP key. Enter the same key in the SHIP tab of General Options.'
    }
    if ($answer -notmatch '^HTTP/1\.[01] 200 ') {
        throw "Space answers, but not to SHIP: $(($answer -split "`r`n")[0])"
    }
    if ($answer -match '<Exception>' -or $answer -notmatch '<RequestName>\s*GetInfo\s*</RequestName>') {
        throw 'Space answers, but SHIP does not. Is the SHIP add-on enabled?'
    }
    Write-Host 'Space answers on HTTPS, and SHIP takes the key.'
    Write-Host "SHA-256 of Space's certificate: $($script:ShownFingerprint)"
}

function Send-GetInfo {
    param([System.Net.Security.SslStream] $Stream, [System.Security.SecureString] $Key)
    $body = '<?xml version="1.0" encoding="UTF-8"?>' +
        '<RequestCall><RequestName>GetInfo</RequestName><Params/></RequestCall>'
    $pointer = [System.Runtime.InteropServices.Marshal]::SecureStringToBSTR($Key)
    try {
        $plain = [System.Runtime.InteropServices.Marshal]::PtrToStringBSTR($pointer)
        if ($plain -notmatch '^[\x21-\x7e]+$') {
            throw 'A SHIP key has printable ASCII characters only, and no blanks.'
        }
        $request = "POST / HTTP/1.1`r`nHost: ${SpaceHost}:$SpacePort`r`n" +
            "Content-Type: application/vnd.saltosystems.ship.v1+xml`r`n" +
            "Salto-SHIP-Key: $plain`r`nContent-Length: $($body.Length)`r`n" +
            "Connection: close`r`n`r`n$body"
        $bytes = [System.Text.Encoding]::ASCII.GetBytes($request)
        $Stream.Write($bytes, 0, $bytes.Length)
        $Stream.Flush()
    }
    finally {
        [System.Runtime.InteropServices.Marshal]::ZeroFreeBSTR($pointer)
    }
    $reader = New-Object System.IO.StreamReader($Stream, [System.Text.Encoding]::UTF8)
    return $reader.ReadToEnd()
}

function Show-Fields {
    Write-Host ''
    Write-Host 'Enter in Space, General Options, tab Face recognition:'
    Write-Host "  Server address   $ServerAddress"
    Write-Host "  Server port      $ServerPort"
    Write-Host '  API key          as the face server''s console shows it: Integrations, Salto Space,'
    Write-Host '                   Space General Options, Authentication (API key)'
    Write-Host 'In the SHIP tab: HTTP(S) with custom authentication, and the SHIP API key.'
}

Write-Host "Site: $Site"
$state = Read-State
if ($Uninstall) {
    Restore-PowerSaving -State $state
    Uninstall-Ca -State $state
    if ((Test-Path -LiteralPath $StateFile) -and
        $PSCmdlet.ShouldProcess($StateFile, 'Remove the notes about what was changed')) {
        Remove-Item -LiteralPath $StateFile
    }
    Write-Host 'Done. Settings in Space itself are for you to remove.'
    return
}
Install-Ca -State $state
Disable-PowerSaving -State $state
if ($WhatIfPreference) {
    Write-Host "What if: asking for the SHIP key and checking Space at ${SpaceHost}:$SpacePort."
}
else {
    $key = Read-Host -Prompt 'SHIP API key (it is not shown)' -AsSecureString
    Test-Ship -Key $key
}
Show-Fields
Write-Host ''
Write-Host 'Done.'
